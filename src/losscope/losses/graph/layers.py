"""Operations that are layers: their output is a network's score."""

LAYERS = frozenset(
    {"Addmm", "Mm", "Bmm", "Baddbmm", "Addbmm", "Mv", "Addmv", "Convolution", "ConvolutionOverrideable"}
    | {"MkldnnLinear", "Linear", "Matmul", "NativeBatchNorm", "NativeLayerNorm", "CudnnBatchNorm"}
)
