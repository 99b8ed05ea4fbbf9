"""What the names of a loss's own parameters say, and what they rule out.

``advantages`` are no distribution and ``chosen`` scores no probabilities, whatever the values allow. Only words that
mean one thing in every library are here; a name that says nothing rules nothing out.
"""

import re
from collections.abc import Sequence

from losscope.losses.arguments import Argument

_LOGS = {
    "log-probabilities",
    "frame-log-probabilities",
    "log-likelihoods",
    "reference-log-likelihoods",
}
_PROBABILITIES = {"probabilities", "class-probabilities", "mask-probabilities", "distribution", "unit"}
_LOGITS = {
    *("logits", "binary-logits", "mask-logits", "class-mask-logits", "teacher-logits", "lattice-logits"),
    *("values", "scores"),
}
_ONE_OF_TWO = {"scores", "embeddings", "log-likelihoods", "reference-log-likelihoods"}
_MASKS = {"mask", "binary", "binary-label", "kept", "one-hot", "class-index-map"}

_MEANT: dict[str, set[str]] = {
    **dict.fromkeys(("adv", "advs", "advantage", "advantages"), {"advantages"}),
    **dict.fromkeys(("ratio", "ratios"), {"ratios"}),
    **dict.fromkeys(("chosen", "rejected", "winner", "loser", "preferred"), _ONE_OF_TWO),
    **dict.fromkeys(("pos", "neg", "positive", "negative"), _ONE_OF_TWO),
    "anchor": {"embeddings"},
    **dict.fromkeys(("fake", "real"), {"scores", "samples", "reference-samples"}),
    **dict.fromkeys(("event", "events", "censored"), {"events"}),
    **dict.fromkeys(("time", "times", "duration", "durations"), {"times"}),
    **dict.fromkeys(("logvar", "logvariance", "logsigma", "logstd"), {"log-scale"}),
    **dict.fromkeys(("var", "variance", "sigma", "std", "scale"), {"variance", "given-variance"}),
    "teacher": {"teacher-logits", "distribution", "log-probabilities", "class-probabilities"},
    **dict.fromkeys(("prob", "probs", "probability", "probabilities"), _PROBABILITIES),
    **dict.fromkeys(("logprob", "logprobs", "logp", "logps", "lprobs", "logprobabilities"), _LOGS),
    **dict.fromkeys(("logit", "logits"), _LOGITS),
    **dict.fromkeys(("score", "scores"), {*_LOGITS, "risk"}),
    **dict.fromkeys(("box", "boxes", "bbox", "bboxes"), {"boxes", "target-boxes"}),
    **dict.fromkeys(("weight", "weights"), {"weights", "head-weight"}),
    **dict.fromkeys(("mask", "masks"), _MASKS),
    **dict.fromkeys(("emb", "embs", "embedding", "embeddings"), {"embeddings", "features", "samples"}),
}
_JOINED = re.compile(r"\blog (var|variance|sigma|std|probs?|probabilities|ps?)\b")
_SPLIT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")


def words(name: str) -> list[str]:
    """The words of a parameter's name; "log" and what it is the logarithm of are one.

    >>> words("policy_chosen_log_probs")
    ['policy', 'chosen', 'logprobs']
    """
    plain = " ".join(re.sub(r"\d+", "", part).lower() for part in _SPLIT.split(name) if part)
    return _JOINED.sub(lambda m: "log" + m.group(1), plain).split()


def contradictions(names: Sequence[str], arguments: Sequence[Argument]) -> int:
    """How many of these names say that another kind is meant than that of the argument in their place.

    >>> contradictions(["ratio", "advantages"], [Argument("input", "log-probabilities"), Argument("a", "advantages")])
    1
    """
    if len(names) != len(arguments):
        return 0
    return sum(_ruled_out(name, argument.kind) for name, argument in zip(names, arguments, strict=True))


def _ruled_out(name: str, kind: str) -> bool:
    meant = [_MEANT[word] for word in words(name) if word in _MEANT]
    return bool(meant) and not any(kind in kinds for kinds in meant)
