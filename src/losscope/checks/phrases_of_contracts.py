"""What contracts say in words, in Chinese: functionals that losses elicit, and exceptions that they declare."""

ELICITED = {
    "Cauchy location": "柯西分布的位置",
    "Gaussian distribution": "高斯分布",
    "Huber location, between median and mean": "Huber 位置，介于中位数和均值之间",
    "Student-t location and scale": "学生 t 分布的位置和尺度",
    "Weibull distribution": "韦布尔分布",
    "a compromise between the mean and the middle of the targets": "目标的均值与中点之间的折中",
    "a distribution sharper than the class probabilities": "比类别概率更尖锐的分布",
    "a mask, not a probability": "掩码，而非概率",
    "a probability distorted by α and γ": "被 α 和 γ 扭曲的概率",
    "a probability distorted by γ₊, γ₋ and m": "被 γ₊、γ₋ 和 m 扭曲的概率",
    "conditional probabilities P(y > k | y ≥ k)": "条件概率 P(y > k | y ≥ k)",
    "covariance": "协方差",
    "cumulative probabilities P(y > k)": "累积概率 P(y > k)",
    "cumulative probabilities P(y ≤ k), as far as thresholds allow": ("累积概率 P(y ≤ k)，以阈值允许为限"),
    "distribution": "分布",
    "escort distribution η^(1/(1-q)) of the class probabilities η": ("类别概率 η 的护送分布 η^(1/(1-q))"),
    "expectile": "期望分位数",
    "geometric mean of the distributions": "各分布的几何平均",
    "hazards": "风险率",
    "labels above 0, other classes below": "标签高于 0，其他类别低于 0",
    "location between mean (α = 2) and mode (α = -∞)": ("介于均值（α = 2）和众数（α = -∞）之间的位置"),
    "location between median and mean, near the median for a small ε": (
        "介于中位数和均值之间的位置，ε 小时接近中位数"
    ),
    "log-cosh location, between median and mean": "log-cosh 位置，介于中位数和均值之间",
    "log-ratio to the reference, up to a constant per prompt": ("相对参考模型的对数比，每个提示相差一个常数"),
    "logarithm of the hazard ratio": "风险比的对数",
    "logarithm of the mean": "均值的对数",
    "logarithm of the mean, and dispersion": "均值的对数，以及离散度",
    "mean": "均值",
    "mean and variance": "均值和方差",
    "mean velocity at (x_t, t)": "(x_t, t) 处的平均速度",
    "median": "中位数",
    "median and mean absolute deviation": "中位数和平均绝对偏差",
    "median of the density weighted by 1/|y|": "以 1/|y| 加权的密度的中位数",
    "mode": "众数",
    "mode of the smoothed density": "平滑密度的众数",
    "neither mean nor median: a compromise that depends on the whole distribution": (
        "既非均值也非中位数：取决于整个分布的折中"
    ),
    "order of the classes": "类别的顺序",
    "order of the classes by probability, in steps of the margin (p = 1)": (
        "按概率排列的类别顺序，以间隔为步长（p = 1）"
    ),
    "probability": "概率",
    "probability divided by π^τ, normalised": "除以 π^τ 并归一化的概率",
    "probability times class weight, normalised": "乘以类别权重并归一化的概率",
    "probability, read by the tempered softmax": "由带温度的 softmax 读出的概率",
    "q/(λ - εq) with ε = -βA/α, sharper than the class probabilities q": (
        "q/(λ - εq)，其中 ε = -βA/α，比类别概率 q 更尖锐"
    ),
    "q/(λ - εq), sharper than the class probabilities q for ε > 0": (
        "q/(λ - εq)，ε > 0 时比类别概率 q 更尖锐"
    ),
    "quantile": "分位数",
    "quantiles": "分位数",
    "quantiles α/2 and 1 - α/2": "分位数 α/2 和 1 - α/2",
    "score of the noisy data, -E[ε | x̃]/σ": "含噪数据的得分 -E[ε | x̃]/σ",
    "scores that favour rare classes": "偏向稀有类别的分数",
    "shifted geometric mean exp(E ln(1 + Y)) - 1": "平移的几何平均 exp(E ln(1 + Y)) - 1",
}

DECLARED = {
    "a similarity is to be as large as it can be: its negative is the loss": (
        "相似度应尽可能大：它的相反数才是损失"
    ),
    "an answer without tokens still counts as one of its group: advantages are relative to the group": (
        "没有词元的回答仍算作组内的一个：优势是相对于该组的"
    ),
    "0 needs scale and bias to be learnt: at their defaults a pair of cosine 1 still costs ln 2": (
        "要达到 0 须学习尺度和偏置：在默认值下，余弦为 1 的一对仍损失 ln 2"
    ),
    "F.binary_cross_entropy divides by p(1 - p) + 1e-12, which is 0/0 in float16 at a right certainty": (
        "F.binary_cross_entropy 除以 p(1 - p) + 1e-12；在 float16 中，确定且正确时为 0/0"
    ),
    "F.gaussian_nll_loss lets the target broadcast, without a warning": (
        "F.gaussian_nll_loss 会广播目标而不警告"
    ),
    "F.gaussian_nll_loss looks at the values of the variance to refuse negative ones": (
        "F.gaussian_nll_loss 会查看方差的值以拒绝负数"
    ),
    "F.poisson_nll_loss broadcasts, without a warning": "F.poisson_nll_loss 会广播而不警告",
    "PyTorch adds 1e-12 to squared lengths, which is 0 in float16: the zero vector gives NaN there": (
        "PyTorch 在长度平方上加 1e-12，在 float16 中即为 0：零向量在此得到 NaN"
    ),
    "PyTorch does not compare the shapes of distances and labels": "PyTorch 不比较距离与标签的形状",
    "a sample without points has no distribution: it is refused": "没有点的样本没有分布：被拒绝",
    "a search by gradients stops at the kinks, long before all of them meet at the target": (
        "梯度搜索停在折点处，远未全部到达目标"
    ),
    "a search stops at the kinks where members coincide; the floor is where all equal the target": (
        "搜索停在成员重合的折点处；下限在全部等于目标之处"
    ),
    "an infimum at infinite scores, that of the rarest class far below the others": (
        "下确界在无穷分数处，最稀有类别的分数远低于其他"
    ),
    "as PyTorch does everywhere": "与 PyTorch 各处一致",
    "at x = 0, W = 0 only the bias has a gradient: a saddle, at which a short search may stay": (
        "在 x = 0、W = 0 处只有偏置有梯度：这是鞍点，短搜索可能停在此处"
    ),
    "beyond an angle of π - m the published penalty goes on as cos θ - m sin m, with a step between": (
        "角度超过 π - m 时，文献中的惩罚改为 cos θ - m sin m，中间有一个跳跃"
    ),
    "for α < 0 it is bounded by |α - 2|/|α|, by 1 for α = -∞": (
        "α < 0 时以 |α - 2|/|α| 为界，α = -∞ 时以 1 为界"
    ),
    "it falls without limit only along ever sharper shapes that hit an event, as ln k": (
        "只有沿着越来越尖锐且命中事件的形状才会无限下降，如 ln k"
    ),
    "it is reached at equal images, which a descent from random ones seldom finds": (
        "在图像相等处达到，而从随机图像出发的下降很少能找到"
    ),
    "it takes distances: a smaller number is nearer, so that label 1 pulls the input down": (
        "它接受距离：数值越小越近，故标签 1 使输入变小"
    ),
    "its supremum is ln K, which depends on the number of classes K": "其上确界为 ln K，取决于类别数 K",
    "of learnt thresholds; frozen ones bound the probability of an inner class": (
        "指学习得到的阈值；固定的阈值会限制中间类别的概率"
    ),
    "of learnt thresholds; with frozen ones a constant score does worse": (
        "指学习得到的阈值；阈值固定时常数分数更差"
    ),
    "of the best constant score with scale and bias learnt; held at other values they cost more": (
        "指学习尺度和偏置后的最佳常数分数；固定为其他值时损失更大"
    ),
    "samples that do not count are left out, whose number only the data know: a graph break": (
        "不计入的样本被略去，其数目只有数据知道：图会中断"
    ),
    "the likelihood has no lower bound; F.gaussian_nll_loss stops at ½ ln eps for a hit": (
        "似然没有下界；F.gaussian_nll_loss 命中时止于 ½ ln eps"
    ),
    "the score points against the noise: its target is -ε/σ, not the noise that is given": (
        "得分与噪声方向相反：其目标是 -ε/σ，而非给定的噪声"
    ),
    "the target is data - noise, neither of the two that are given": ("目标是数据减噪声，而非给定的两者之一"),
    "the weight α of the aspect term is held constant, as the authors do": (
        "宽高比项的权重 α 视为常数，与原作者一致"
    ),
    "the weights are those of the present order: they jump where two scores change places": (
        "权重取自当前的顺序：两个分数换位时会跳跃"
    ),
    "the weights of pairs are constants on purpose": "样本对的权重有意视为常数",
    "torch 2.13 compiled takes the padding -1 for class 0 (pytorch issue 141017)": (
        "torch 2.13 编译后把填充 -1 当作类别 0（pytorch 问题 141017）"
    ),
    "torch averages the last axis and accepts [N, 1] against [N]": (
        "torch 对最后一轴取均值，并接受 [N, 1] 对 [N]"
    ),
    "torch broadcasts, with a warning": "torch 会广播，并给出警告",
    "torch forms e^(-y·s), which overflows below y·s = -11 in float16": (
        "torch 计算 e^(-y·s)，在 float16 中 y·s 低于 -11 时溢出"
    ),
    "torch forms e^(-y·s), which overflows below y·s = -88 in float32": (
        "torch 计算 e^(-y·s)，在 float32 中 y·s 低于 -88 时溢出"
    ),
    "torch gives the gradient of the scores below a log-softmax, not the slope along log-probabilities": (
        "torch 给出 log-softmax 之前分数的梯度，而非沿对数概率的斜率"
    ),
    "torch has no second derivative of it": "torch 没有它的二阶导数",
    "torch refuses log-probabilities of no sequence": "torch 拒绝没有序列的对数概率",
    "torch sums the smoothed part in float16 before it divides: it overflows at scores of 1e4": (
        "torch 在 float16 中先求和再相除：分数为 1e4 时溢出"
    ),
}
