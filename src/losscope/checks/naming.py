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

_WORDS: tuple[tuple[str, set[str]], ...] = (
    ("adv advs advantage advantages", {"advantages"}),
    ("ratio ratios", {"ratios"}),
    ("chosen rejected winner loser preferred", _ONE_OF_TWO),
    ("pos neg positive negative", _ONE_OF_TWO),
    ("anchor", {"embeddings"}),
    ("fake real", {"scores", "samples", "reference-samples"}),
    ("event events censored", {"events"}),
    ("time times duration durations", {"times"}),
    ("logvar logvariance logsigma logstd", {"log-scale"}),
    ("var variance sigma std scale", {"variance", "given-variance"}),
    ("teacher", {"teacher-logits", "distribution", "log-probabilities", "class-probabilities"}),
    ("prob probs probability probabilities", _PROBABILITIES),
    ("logprob logprobs logp logps lprobs logprobabilities", _LOGS),
    ("logit logits", _LOGITS),
    ("score scores", {*_LOGITS, "risk"}),
    ("box boxes bbox bboxes", {"boxes", "target-boxes"}),
    ("weight weights", {"weights", "head-weight"}),
    ("mask masks", _MASKS),
    ("emb embs embedding embeddings", {"embeddings", "features", "samples"}),
)
_MEANT = {word: kinds for words_, kinds in _WORDS for word in words_.split()}
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


def meant(word: str) -> set[str]:
    """The kinds of which one is meant by a word; none where it may mean anything."""
    return _MEANT.get(word, set())


def _ruled_out(name: str, kind: str) -> bool:
    said = [kinds for word in words(name) if (kinds := meant(word))]
    return bool(said) and not any(kind in kinds for kinds in said)
