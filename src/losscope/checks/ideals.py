"""What is right and what is wrong for arguments that are compared with one another: pairs, groups, choices, risks.

``ideals`` gives one case that is right and others that are wrong, by the kinds of the arguments. What a score of the
better and of the worse one is told by the names of the arguments: "chosen" and "rejected", "pos" and "neg".
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from losscope.checks.naming import words
from losscope.checks.subject import Case, Subject, replaced
from losscope.core.text import Text

Ideal = tuple[Case, dict[str, Case]]
"""The right case, and wrong ones by what they are."""

PARTNERS = "partners exchanged"
GROUPS = "groups mixed up"
ORDER = "the worse above the better"
RISKS = "risks the other way round"
TEACHER = "what the teacher says of other samples"
FLAT = "equal scores for all"
SURER = "surer than the teacher"
APART = "boxes away by"
POLICY = "bad actions likelier and good ones less likely"
_BETTER = {"chosen", "winner", "preferred", "pos", "positive", "better", "real", "w", "good"}
_WORSE = {"rejected", "loser", "dispreferred", "neg", "negative", "worse", "fake", "l", "bad"}
_FAR = 4.0

COMPARED = (("embeddings", "embeddings"), ("embeddings", "groups"))
"""Kinds of the losses that compare the samples of a batch with one another."""
NOT_COMPARED = Text(en="its samples are not compared with one another", zh="其样本之间不互相比较")


def ideals(subject: Subject, case: Case) -> Ideal | None:
    """Right and wrong for these arguments; ``None`` where nothing is known."""
    make = _KNOWN.get(subject.kinds)
    return None if make is None else make(subject, case)


def _partners(subject: Subject, case: Case) -> Ideal:
    """Every vector beside its partner, or beside that of another sample."""
    del subject
    return (case[0], case[0].clone(), *case[2:]), {PARTNERS: (case[0], case[0].roll(1, 0), *case[2:])}


def _groups(subject: Subject, case: Case) -> Ideal | None:
    """Groups around points of their own; or around points that each group shares with all others."""
    labels = case[1]
    n, size = len(labels), case[0].shape[1]
    found, inverse = labels.unique(return_inverse=True)
    generator = torch.Generator().manual_seed(4)
    points = torch.linalg.qr(
        torch.randn(max(n, size), max(n, size), generator=generator, dtype=torch.float64)
    ).Q
    points = points[: max(len(found), 2), :size]
    points = _FAR * points / points.norm(dim=1, keepdim=True).clamp_min(1e-6)
    noise = 0.01 * torch.randn(case[0].shape, generator=generator, dtype=torch.float64)
    member = (labels[:, None] == labels[None]).tril(-1).sum(1)
    if len(found) < 2 or int(member.max()) < 1 or _unread(subject, case):
        return None
    right = replaced(case, {0: points[inverse] + noise})
    return right, {GROUPS: replaced(case, {0: points[member % len(points)] + noise})}


def _unread(subject: Subject, case: Case) -> bool:
    """Whether other labels have the same value: what belongs together is told by the places in the batch."""
    others = (case[1].roll(1), torch.zeros_like(case[1]))
    with torch.no_grad():
        return len({float(subject.value(replaced(case, {1: labels}))) for labels in (case[1], *others)}) == 1


def _order(subject: Subject, case: Case) -> Ideal | None:
    """The better far above the worse, or below; by the names alone, for either may come first."""
    first, second = (set(words(name)) for name in subject.names[:2])
    generates = (
        "gen" in subject.name.lower().rpartition(".")[2]
    )  # of a game, the other side wants the opposite
    if first & _BETTER and second & _WORSE and not (generates and "fake" in second):
        high, low = 0, 1
    elif first & _WORSE and second & _BETTER and not (generates and "fake" in first):
        high, low = 1, 0
    else:
        return None
    size = _FAR * torch.linspace(0.5, 1.0, len(case[0]), dtype=torch.float64)
    top, bottom = (case[0] * 0 + size, case[0] * 0 - size)
    if subject.arguments[0].of.high == 0.0:
        top, bottom = top * 0.0 - 0.5, bottom - 6.0
    return replaced(case, {high: top, low: bottom}), {ORDER: replaced(case, {high: bottom, low: top})}


def _ranked(subject: Subject, case: Case) -> Ideal:
    """A label of 1 means that the first is the higher one, as in torch.nn.MarginRankingLoss."""
    del subject
    gap = _FAR * case[2]
    return (gap / 2, -gap / 2, case[2]), {ORDER: (-gap / 2, gap / 2, case[2])}


def _survival(subject: Subject, case: Case) -> Ideal:
    """High risks for those who die early."""
    del subject
    times = case[1]
    order = times.argsort().argsort().to(times.dtype) - (len(times) - 1) / 2
    events = torch.ones_like(case[2])
    return (-order, times, events), {RISKS: (order, times, events)}


def _taught(subject: Subject, case: Case) -> Ideal:
    """The student says what the teacher says."""
    del subject
    teacher = case[1]
    others = {TEACHER: teacher.roll(1, 0), FLAT: torch.zeros_like(teacher), SURER: 8 * teacher}
    return (teacher.clone(), teacher), {name: (value, teacher) for name, value in others.items()}


def _classes(subject: Subject, case: Case) -> Ideal:
    """A score of 2 at the class, in whichever layout, for this label or, where tokens are shifted, for the next one.

    Beside equal scores for all: smoothing and penalties move the minimum, but not there.
    """
    axis = subject.axis(0, "C") or 1
    hot = F.one_hot(case[1], case[0].shape[axis]).to(case[0].dtype)
    right = [2.0 * hot.movedim(-1, axis)]
    if subject.axis(1, "T") == 1:
        right.append(2.0 * hot.roll(-1, 1).movedim(-1, axis))
    with torch.no_grad():
        best = min(right, key=lambda scores: float(subject.value((scores, case[1]))))
    return (best, case[1]), {FLAT: (torch.zeros_like(best), case[1])}


def _policy(subject: Subject, case: Case) -> Ideal:
    """A small step that makes what had an advantage likelier, or less likely."""
    del subject
    start = case[1] if len(case) == 3 else case[0].clamp(0.97, 1.03) if float(case[0].min()) > 0 else case[0]
    step = 0.01 * case[-1].sign()
    return replaced(case, {0: start + step}), {POLICY: replaced(case, {0: start - step})}


_KNOWN: dict[tuple[str, ...], Callable[[Subject, Case], Ideal | None]] = {
    ("embeddings", "embeddings"): _partners,
    ("embeddings", "groups"): _groups,
    ("scores", "scores"): _order,
    ("log-likelihoods", "log-likelihoods"): _order,
    ("log-likelihoods", "log-likelihoods", *["reference-log-likelihoods"] * 2): _order,
    ("scores", "scores", "sign-label"): _ranked,
    ("logits", "class-index"): _classes,
    ("class-mask-logits", "class-index-map"): _classes,
    ("risk", "times", "events"): _survival,
    ("logits", "teacher-logits"): _taught,
    ("log-likelihoods", "reference-log-likelihoods", "advantages"): _policy,
    ("ratios", "advantages"): _policy,
    ("log-likelihoods", "advantages"): _policy,
}


def masks(subject: Subject, case: Case) -> tuple[Case, Case, Case] | None:
    """Masks that are right and sure, wrong and sure, and (of scores) wrong and surer; ``None`` for other arguments."""
    kinds = subject.kinds
    if len(kinds) != 2 or kinds[1] != "mask" or kinds[0] not in ("mask-logits", "mask-probabilities"):
        return None
    truth = case[1].to(case[0].dtype).reshape(case[0].shape)
    sizes = (32.0, -32.0, -64.0)
    if kinds[0] == "mask-logits":
        right, wrong, surer = (replaced(case, {0: size * (2 * truth - 1)}) for size in sizes)
        return right, wrong, surer
    wrong = replaced(case, {0: 1 - truth})
    return replaced(case, {0: truth}), wrong, wrong


def pulled(subject: Subject) -> tuple[Case, Case] | None:
    """What belongs together, equal; and with nothing in common: in both, all others are at right angles.

    So only what a loss says of those that belong together can tell the two from one another.
    """
    if subject.kinds not in COMPARED:
        return None
    pairs, size = 4, 8
    points = _FAR * torch.eye(size, dtype=torch.float64)
    case = subject.case(0, N=pairs if subject.kinds[1] == "embeddings" else size, D=size)
    if case[0].shape[1] != size:
        return None
    if subject.kinds[1] == "embeddings":
        first = points[:pairs]
        return (first, first.clone()), (first, points[pairs:])
    groups = torch.arange(size) // 2
    return (points[groups], groups), (points, groups)


def moves(subject: Subject, case: Case) -> tuple[Case, Case] | None:
    """Good actions that became less likely and bad ones that became likelier, by less and by more."""
    if subject.kinds not in (
        ("log-likelihoods", "reference-log-likelihoods", "advantages"),
        ("ratios", "advantages"),
    ):
        return None
    good = torch.arange(len(case[-1])) % 2 == 0
    advantages = torch.where(good, 1.0, -1.0).to(case[-1].dtype)

    def moved(less: float, more: float) -> Case:
        ratio = torch.where(good, less, more).to(case[0].dtype)
        if len(subject.kinds) == 2:
            return ratio, advantages
        return case[1] - 2.0 + ratio.log(), case[1] - 2.0, advantages

    return moved(0.5, 1.5), moved(0.3, 2.0)


def apart(boxes: Tensor) -> dict[str, Tensor]:
    """The same boxes, to the right and below, near and far: nothing of them overlaps."""
    size = (boxes[..., 2:] - boxes[..., :2]).amax(0, keepdim=True)
    gaps = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 5.0)
    return {f"{APART} {gap:g}": boxes + torch.cat([size + gap, size + gap], -1) for gap in gaps}
