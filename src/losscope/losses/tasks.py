"""What losses are given, by task: the argument lists that an audit can draw inputs for.

The names are those of ``losscope audit --task``. ``words`` occur in names, parameters and docstrings of losses of that
task; they only order the guesses, an inference is decided by what the loss accepts and where it is smallest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from losscope.losses.arguments import Argument


@dataclass(frozen=True, slots=True)
class InputTask:
    """One way to call a loss: its arguments in order, and words that hint at it."""

    name: str
    arguments: tuple[Argument, ...]
    words: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """One line: the arguments with their shapes."""
        return ", ".join(f"{a.name} [{a.axes or a.of.axes}]: {a.of.about}" for a in self.arguments)


def _task(name: str, *kinds: str, words: str = "", names: str = "") -> InputTask:
    given = names.split() or ["input", "target", "third", "fourth", "fifth"][: len(kinds)]
    return InputTask(
        name, tuple(Argument(n, k) for n, k in zip(given, kinds, strict=True)), tuple(words.split())
    )


def _axes(name: str, *arguments: tuple[str, str], words: str, names: str = "input target third") -> InputTask:
    """A task whose arguments have axes of their own: pairs of kind and axes. What comes third is no prediction."""
    given = tuple(
        Argument(n, kind, axes, "fixed" if n == "mask" else None)
        for n, (kind, axes) in zip(names.split(), arguments, strict=False)
    )
    return InputTask(name, given, tuple(words.split()))


_OVERLAP = "dice iou jaccard tversky lovasz segmentation multiclass onehot"
_MASKED = "masked mask valid missing"


def _plain_masks(name: str, kind: str, axes: str = "N H W") -> InputTask:
    """Masks without an axis of channels."""
    arguments = (Argument("input", kind, axes), Argument("target", "mask", "N H W"))
    return InputTask(name, arguments, ("dice", "iou", "jaccard", "tversky", "lovasz", "mask", "segmentation"))


TASKS: Mapping[str, InputTask] = MappingProxyType(
    {
        task.name: task
        for task in (
            _task(
                "multi-class",
                "logits",
                "class-index",
                words="cross_entropy crossentropy ce softmax classification label focal smoothing poly class",
            ),
            _task("classes-from-one", "logits", "class-number", words="one_based from_one"),
            _task("class-probabilities", "class-probabilities", "class-index", words="probabilities probs"),
            _task("log-probabilities", "log-probabilities", "class-index", words="nll log_probs"),
            _task("one-hot", "logits", "one-hot", words="onehot one_hot soft_target softtarget soft"),
            _task("ordinal", "logits", "ordinal-index", words="ordinal rank emd"),
            _task(
                "binary",
                "binary-logits",
                "binary",
                words="bce binary sigmoid logits asymmetric focal multilabel multi_label",
            ),
            _task("binary-probabilities", "probabilities", "binary", words="bce binary probabilities"),
            _task("margin", "values", "sign", words="hinge margin exponential"),
            _task(
                "regression",
                "values",
                "real",
                words="mse mae l1 l2 huber smooth rmse cosh charbonnier quantile pinball regression robust correlation "
                "pearson concordance ccc snr sdr",
            ),
            _task(
                "positive-regression",
                "positive-values",
                "positive",
                words="gamma tweedie msle rmsle log mape deviance",
            ),
            _task("counts", "values", "counts", words="poisson count"),
            _task(
                "heteroscedastic",
                "values",
                "real",
                "variance",
                words="gaussian nll variance heteroscedastic",
                names="input target var",
            ),
            _task("distribution", "log-probabilities", "distribution", words="kl kld divergence"),
            _task(
                "two-distributions",
                "class-probabilities",
                "distribution",
                words="js jensen shannon kl emd wasserstein divergence",
            ),
            _task(
                "distillation",
                "logits",
                "teacher-logits",
                words="distill kd teacher student",
                names="student teacher",
            ),
            _task(
                "segmentation",
                "mask-logits",
                "mask",
                words="dice iou jaccard tversky lovasz mask segmentation binary",
            ),
            _task(
                "segmentation-probabilities",
                "mask-probabilities",
                "mask",
                words="dice iou jaccard tversky lovasz mask segmentation",
            ),
            _task(
                "segmentation-classes",
                "class-mask-logits",
                "class-index-map",
                words="dice iou jaccard tversky lovasz segmentation multiclass",
            ),
            _axes(
                "segmentation-one-hot",
                ("class-mask-logits", "N C H W"),
                ("one-hot", "N C H W"),
                words=_OVERLAP,
            ),
            _axes(
                "segmentation-one-hot-probabilities",
                ("class-probabilities", "N C H W"),
                ("one-hot", "N C H W"),
                words=f"{_OVERLAP} probs probabilities",
            ),
            _plain_masks("segmentation-plain", "mask-logits"),
            _plain_masks("segmentation-squeezed", "mask-logits", "N 1 H W"),
            _plain_masks("segmentation-plain-probabilities", "mask-probabilities"),
            _task(
                "boxes", "boxes", "target-boxes", words="iou giou diou ciou box boxes", names="boxes1 boxes2"
            ),
            _task(
                "triplet",
                "embeddings",
                "embeddings",
                "embeddings",
                words="triplet anchor positive negative",
                names="anchor positive negative",
            ),
            _task(
                "pair-embedding",
                "embeddings",
                "embeddings",
                "sign-label",
                words="cosine contrastive pair siamese",
                names="input1 input2 target",
            ),
            _task(
                "pair-ranking",
                "scores",
                "scores",
                "sign-label",
                words="ranking margin rank",
                names="input1 input2 target",
            ),
            _task(
                "metric",
                "embeddings",
                "groups",
                words="contrastive supcon metric triplet circle ntxent arcface similarity embeddings batchhard",
                names="embeddings labels",
            ),
            InputTask(
                "tokens",
                (Argument("input", "logits", axes="N T C"), Argument("target", "class-index", axes="N T")),
                ("causal", "lm", "language", "token", "tokens", "shift", "causallm"),
            ),
            _task(
                "head",
                "embeddings",
                "class-index",
                words="arcface cosface linear adaptive proxy head in_features",
                names="features target",
            ),
            _task(
                "linear-head",
                "features",
                "head-weight",
                "class-index",
                words="linear_cross_entropy fused_linear lm_head linear vocab",
                names="features weight target",
            ),
            _task(
                "contrastive",
                "embeddings",
                "embeddings",
                words="infonce info_nce ntxent nt_xent clip siglip contrastive barlow vicreg simclr",
                names="first second",
            ),
            _task(
                "samples",
                "samples",
                "reference-samples",
                words="mmd energy sinkhorn wasserstein",
                names="samples reference",
            ),
            _axes("quantiles", ("values", "N D"), ("real", "N"), words="quantiles pinball quantile"),
            _axes("quantiles-column", ("values", "N D"), ("real", "N 1"), words="quantiles pinball quantile"),
            _axes("evidential", ("positive-values", "N 4"), ("real", "N"), words="evidential nig"),
            _axes("evidential-column", ("positive-values", "N 4"), ("real", "N 1"), words="evidential nig"),
            _axes("parameters", ("values", "N M"), ("real", "N"), words="evidential nig mdn"),
            _axes("parameters-column", ("values", "N M"), ("real", "N 1"), words="evidential nig mdn"),
            _task(
                "latent", "values", "log-scale", words="vae latent kl logvar mu", names="mean log_variance"
            ),
            _task("latent-scale", "values", "variance", words="vae latent kl sigma mu", names="mean scale"),
            _task(
                "heteroscedastic-log",
                "values",
                "real",
                "log-scale",
                words="heteroscedastic logvar log_var log_variance nll",
                names="input target log_variance",
            ),
            _task(
                "pair-binary",
                "embeddings",
                "embeddings",
                "binary-label",
                words="contrastive pair siamese cosine",
                names="input1 input2 target",
            ),
            _task(
                "pair-ranking-binary",
                "scores",
                "scores",
                "binary-label",
                words="ranking ranknet rank",
                names="input1 input2 target",
            ),
            *(
                _axes(name, *given, words=f"{_MASKED} {words}", names="input target mask")
                for name, words, given in (
                    ("masked-regression", "mse l1", (("values", "N D"), ("real", "N D"), ("binary", "N D"))),
                    (
                        "masked-regression-boolean",
                        "mse l1",
                        (("values", "N D"), ("real", "N D"), ("kept", "N D")),
                    ),
                    (
                        "masked-binary",
                        "bce",
                        (("binary-logits", "N D"), ("binary", "N D"), ("binary", "N D")),
                    ),
                    ("masked-multi-class", "ce", (("logits", "N C"), ("class-index", "N"), ("binary", "N"))),
                    (
                        "masked-tokens",
                        "tokens",
                        (("logits", "N T C"), ("class-index", "N T"), ("binary", "N T")),
                    ),
                )
            ),
            _axes(
                "weighted-regression",
                ("values", "N D"),
                ("real", "N D"),
                ("weights", "N"),
                words="weighted weight weights mse l1 regression",
            ),
            *(
                _axes(name, *given, ("weights", "N"), words=f"weighted weight weights {words}")
                for name, words, given in (
                    ("weighted-binary", "bce binary sigmoid", (("binary-logits", "N D"), ("binary", "N D"))),
                    ("weighted-multi-class", "ce", (("logits", "N C"), ("class-index", "N"))),
                )
            ),
            _task(
                "survival",
                "risk",
                "times",
                "events",
                words="cox survival hazard partial",
                names="risk times events",
            ),
            _task(
                "sequence",
                "frame-log-probabilities",
                "labels",
                "frame-lengths",
                "label-lengths",
                words="ctc",
                names="log_probs targets input_lengths target_lengths",
            ),
            _task(
                "preference",
                "log-likelihoods",
                "log-likelihoods",
                "reference-log-likelihoods",
                "reference-log-likelihoods",
                words="dpo ipo preference chosen rejected",
                names="chosen rejected reference_chosen reference_rejected",
            ),
            _task(
                "reference-free-preference",
                "log-likelihoods",
                "log-likelihoods",
                words="simpo orpo chosen rejected",
                names="chosen rejected",
            ),
            _task(
                "pairwise",
                "scores",
                "scores",
                words="bpr ranknet pairwise pos neg positive negative chosen rejected reward",
                names="better worse",
            ),
            _task(
                "policy",
                "log-likelihoods",
                "reference-log-likelihoods",
                "advantages",
                words="ppo grpo policy surrogate advantages old",
                names="log_probs old_log_probs advantages",
            ),
            _task(
                "policy-ratio",
                "ratios",
                "advantages",
                words="ppo grpo policy surrogate ratio advantages",
                names="ratio advantages",
            ),
            _task(
                "reinforce",
                "log-likelihoods",
                "advantages",
                words="reinforce policy advantages",
                names="log_probs advantages",
            ),
            _task(
                "game",
                "scores",
                "scores",
                words="gan discriminator critic adversarial hinge wgan",
                names="real fake",
            ),
            _task("scores", "scores", words="generator gan critic", names="scores"),
        )
    }
)
"""Every task by name, in the order in which they are tried where nothing hints at one."""
