"""``wrong-sign``: the loss, or a regulariser of it, is made larger where it should be made smaller.

**What it says.** A loss is maximised: a minus sign too many, a log-likelihood without its minus sign, an optimiser with
``maximize=True``, or a step by hand that adds the gradient. Or a regulariser is subtracted, so that the optimiser is
paid for large weights, or for a posterior far from its prior. Or entropy is added to a policy's loss, which ends
exploration in place of prolonging it.

**Statistic.** The sign of each term's coefficient as read off the graph, at every sampled update, times that of the
optimiser's ``maximize``; for steps by hand the cosine between update and gradient, above 0.5 at every sampled update.
A sign alone is no fault. A loss must be bounded below by its contract, be the whole data part of the objective, have
started no better than halfway from chance to its floor, and have risen: four fifths of the last third of its values lie
above four fifths of the first. A regulariser must have risen likewise, beside a loss that is minimised.

**Source.** Arithmetic: −L has no minimum where L has no maximum, and −λ‖θ‖² falls faster than any cross-entropy
rises. 0.5·Σ(1 + log σ² − μ² − σ²) is −KL(q‖p): Kingma and Welling (2014), arXiv:1312.6114, appendix B.

**Example.** ``loss = torch.log_softmax(z, 1)[range(n), y].mean()``: the loss "falls" from −1.6 to −39. A VAE with
``recon + 0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())``: it falls to −4,000,000.

**Remedy.** Give the term its other sign.

**False alarms.** Silent on objectives trained in alternation (a GAN's generator maximises), on policy gradients and
samples weighted with both signs, on a bonus for entropy, on contrasts (a loss minus another one), on unlearning and
attacks, which begin with a model that is good, and on likelihoods below zero.
"""

import numpy as np

from losscope.core.finding import Evidence, Finding, Severity
from losscope.core.text import Message, Text
from losscope.recording import signals
from losscope.recording.reader import Recording
from losscope.recording.signals import Signal
from losscope.rules.numbers import readable
from losscope.rules.planted import PlantedTerm, falling, record
from losscope.rules.reasons import no_event, no_loss
from losscope.rules.rule import Outcome, Rule
from losscope.rules.statistics.robust import Floats
from losscope.rules.streams import (
    aimless_kind,
    coupled,
    events_of,
    is_maximised,
    main_stream,
    streams,
    values,
)
from losscope.rules.terms import TermView, terms

_CLIMBS = 0.5  # cosine of update and gradient: that of descent is -1, and never positive for long
_LEAST = 5  # samples
_STEERING = frozenset({"gaussian_kl"})
_POLICIES = frozenset({"policy_gradient", "ppo_clip", "clipped_ratio", "grpo"})
_TITLE = Text(
    en="The loss is maximised: {kind} rose from {first} to {last}",
    zh="损失被最大化：{kind} 从 {first} 升到 {last}",
)
_SUBTRACTED = Text(
    en="A regulariser is subtracted: {kind} rose from {first} to {last}",
    zh="正则项被减去而不是加上：{kind} 从 {first} 升到 {last}",
)
_ENTROPY = Text(
    en="Entropy is added to the policy's loss: it fell from {first} to {last}, and exploration with it",
    zh="策略损失加上了熵：熵从 {first} 降到 {last}，探索随之消失",
)
_SIGN = Text(
    en="{kind} is multiplied by {coefficient:g} in what the optimiser makes smaller",
    zh="在优化器所减小的量中，{kind} 的系数为 {coefficient:g}",
)
_FLAG = Text(
    en="{kind} is multiplied by {coefficient:g}, and the optimiser has maximize=True",
    zh="{kind} 的系数为 {coefficient:g}，而优化器设置了 maximize=True",
)
_STEP = Text(
    en="{kind} is multiplied by {coefficient:g}, and every sampled update went along its gradient, not against it",
    zh="{kind} 的系数为 {coefficient:g}，而每次采样的更新都沿着梯度方向，而不是逆着它",
)
_POSITIVE = Text(en="a coefficient above 0 in what is minimised", zh="在被最小化的量中系数大于 0")
_NEGATIVE = Text(en="a coefficient below 0: a bonus", zh="系数小于 0：奖励项")
_REMEDY = Text(
    en="Minimise the loss: call backward() on it without the minus sign (loss = -log_likelihood.mean() for a "
    "log-likelihood).",
    zh="应最小化损失：对不带负号的损失调用 backward()（若是对数似然，则 loss = -log_likelihood.mean()）。",
)
_REMEDY_FLAG = Text(en="Leave maximize=True out of the optimiser.", zh="从优化器中去掉 maximize=True。")
_REMEDY_STEP = Text(
    en="Subtract the gradient: p -= learning_rate * p.grad.", zh="应减去梯度：p -= learning_rate * p.grad。"
)
_REMEDY_KL = Text(
    en="Add the divergence with its other sign: loss = reconstruction - 0.5 * torch.sum(1 + logvar - mu**2 - "
    "logvar.exp()).",
    zh="散度应取相反的符号：loss = reconstruction - 0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())。",
)
_REMEDY_PENALTY = Text(
    en="Add the penalty: loss = loss + weight * penalty.", zh="应加上惩罚项：loss = loss + weight * penalty。"
)
_REMEDY_ENTROPY = Text(
    en="Subtract the entropy: loss = policy_loss - weight * entropy.",
    zh="应减去熵：loss = policy_loss - weight * entropy。",
)


def judge(recording: Recording) -> Outcome:
    if not recording.events_of("anatomy"):
        return no_event("anatomy")
    for stream in streams(recording):
        found = _subtracted(recording, stream) or _entropy(recording, stream)
        if found is not None:
            return [found]
    stream = main_stream(recording)
    if stream is None:
        return no_loss()
    if coupled(recording) > 1 or aimless_kind(recording, stream) is not None:
        return []
    found = _maximised(recording, stream)
    return [found] if found is not None else []


def _maximised(recording: Recording, stream: str) -> Finding | None:
    """All that judges predictions is made larger, from a start at chance."""
    flips = _flips(recording, stream)
    judging = [term for term in terms(recording, stream) if term.is_data and term.kind not in _STEERING]
    if not judging or flips is None:
        return None
    if not all(_sign(recording, term) * flips[0] < 0 and _is_loss(term) for term in judging):
        return None
    worst = max(judging, key=lambda term: abs(term.coefficient) * float(term.values[-1]))
    if not all(_began_at_chance(term) for term in judging) or not _rises(worst.values):
        return None
    _, text, remedy = flips
    return _finding(worst, _TITLE, text(kind=worst.kind, coefficient=worst.coefficient), remedy)


def _is_loss(term: TermView) -> bool:
    """Bounded below by its contract, and not the log-probability of an action that a policy has drawn."""
    return (
        term.bounds[0] is not None
        and not term.options.get("distribution_form")
        and term.values.size >= _LEAST
    )


def _began_at_chance(term: TermView) -> bool:
    """Worse at the start than halfway from chance to the floor; of an unknown level nothing is said."""
    if term.chance is None:
        return False
    floor = term.floor or 0.0
    return float(term.values[0]) > floor + 0.5 * (term.chance - floor)


def _subtracted(recording: Recording, stream: str) -> Finding | None:
    """A penalty or a divergence from the prior is made larger beside a loss that is made smaller."""
    flips, every = _flips(recording, stream), terms(recording, stream)
    if flips is None:
        return None
    aimed = any(
        term.is_data and term.kind not in _STEERING and _sign(recording, term) * flips[0] > 0
        for term in every
    )
    for term in every if aimed else ():
        steers = term.kind in _STEERING or (term.task == "penalty" and term.bounds[0] == 0)
        if steers and _sign(recording, term) * flips[0] < 0 and _rises(term.values):
            remedy = _REMEDY_KL() if term.kind in _STEERING else _REMEDY_PENALTY()
            return _finding(term, _SUBTRACTED, _SIGN(kind=term.kind, coefficient=term.coefficient), remedy)
    return None


def _entropy(recording: Recording, stream: str) -> Finding | None:
    """The entropy of a policy is made smaller beside the surrogate of its return."""
    flips, every = _flips(recording, stream), terms(recording, stream)
    if flips is None or not any(term.kind in _POLICIES for term in every):
        return None
    for term in every:
        added = term.kind == "entropy" and _sign(recording, term) * flips[0] > 0
        if added and _rises(-term.values):
            text = _SIGN(kind=term.kind, coefficient=term.coefficient)
            return _finding(term, _ENTROPY, text, _REMEDY_ENTROPY(), "warning", _NEGATIVE())
    return None


def _rises(values: Floats) -> bool:
    """Four fifths of the last third lie above four fifths of the first, however steep the rise."""
    third = values.size // 3
    if values.size < _LEAST:
        return False
    return float(np.quantile(values[-third:], 0.2)) > float(np.quantile(values[:third], 0.8))


def _sign(recording: Recording, term: TermView) -> int:
    """Of the coefficient at every sampled update; 0 where it has had both signs."""
    seen = values(recording, signals.TERM_COEFFICIENT, term.label)
    if seen.size == 0:
        return (term.coefficient > 0) - (term.coefficient < 0)
    return 1 if (seen > 0).all() else -1 if (seen < 0).all() else 0


def _flips(recording: Recording, stream: str) -> tuple[int, Text, Message] | None:
    """1 where the optimiser descends and -1 where it climbs, with what says so; ``None`` where it does both."""
    maximises = is_maximised(recording, stream)
    if maximises is None:
        return None
    if maximises:
        return -1, _FLAG, _REMEDY_FLAG()
    along = values(recording, signals.UPDATE_ALONG, stream)
    by_hand = not events_of(recording, "optimizer", stream)
    if by_hand and along.size >= _LEAST and (along > _CLIMBS).all():
        return -1, _STEP, _REMEDY_STEP()
    return 1, _SIGN, _REMEDY()


def _finding(
    term: TermView,
    title: Text,
    text: Message,
    remedy: Message,
    severity: Severity = "error",
    expected: Message | None = None,
) -> Finding:
    signal: Signal = signals.TERM_VALUE
    evidence = Evidence(
        text=text,
        signal=signal.name,
        label=term.label,
        value=term.coefficient,
        expected=expected or _POSITIVE(),
    )
    third = max(1, term.values.size // 10)
    first, last = readable(float(term.values[:third].mean())), readable(float(term.values[-third:].mean()))
    return RULE.finding(
        title=title(kind=term.kind, first=first, last=last),
        severity=severity,
        confidence=0.97 if severity == "error" else 0.85,
        evidence=(evidence,),
        remedy=remedy,
        where=term.where,
    )


RULE = Rule(
    code="wrong-sign",
    severity="error",
    title=Text(en="A term of the loss has the wrong sign", zh="损失中有一项符号错误"),
    judge=judge,
    consequences=(
        "dead-units",
        "diverging-loss",
        "exploding-gradient",
        "learning-rate-too-high",
        "loss-at-chance",
        "loss-spikes",
        "momentum-too-high",
        "non-finite",
        "plateau-above-floor",
        "posterior-collapse",
        "saturated-units",
        "vanishing-gradient",
    ),
)


def broken() -> Recording:
    """A mean log-likelihood without its minus sign: the "loss" falls from −2.3 to −50."""
    return record(falling(start=-2.3, end=-50.0, noise=0.02), terms=[_term(-1.0)])


def healthy() -> Recording:
    """Unlearning: the same sign, from a model that is good at what it is to forget."""
    return record(falling(start=-0.02, end=-5.0, noise=0.02), terms=[_term(-1.0)])


def _term(coefficient: float) -> PlantedTerm:
    return PlantedTerm(
        coefficient=coefficient, chance=2.303, chance_error=0.001, contract={"bounds": [0.0, None]}
    )
