"""The trace by XTrace: every test vector is used for the basis and for the samples.

For test vectors ω₁ … ω_m on the sphere of radius √n let Q_i be an orthonormal basis of all Aω_j but the i-th. Then

    t_i = tr Q_iᵀAQ_i + (n-m+1) uᵢᵀAuᵢ / ‖uᵢ‖²,   uᵢ = (I - Q_iQ_iᵀ) ωᵢ

is unbiased, and so is their mean. With Y = AΩ = QR nothing is factored again: Q_iQ_iᵀ = Q (I - sᵢsᵢᵀ) Qᵀ, where sᵢ is
the i-th column of R⁻ᵀ, normalised; and with W = QᵀΩ, H = QᵀAQ and vᵢ = (I - sᵢsᵢᵀ) wᵢ all is m × m:

    tr Q_iᵀAQ_i = tr H - sᵢᵀHsᵢ,   uᵢᵀAuᵢ = wᵢᵀrᵢ - 2 vᵢᵀrᵢ + vᵢᵀHvᵢ,   ‖uᵢ‖² = n - ‖vᵢ‖².

**Error.** The t_i are exchangeable but not independent, and √(Σ(t_i - t̄)² / (m(m-1))), the paper's estimate of the
error, is too small by up to a half on flat spectra. Let t_ij be the estimate from ωᵢ with the i-th and the j-th column
left out of the basis. Given the other vectors, E[t_i] and E[t_ij] over ωᵢ are both tr A, so that of the covariance only

    Cov(t_i, t_j) = E[(t_i - t_ij)(t_j - t_ji)]

remains, and Σ(t_i - t̄)² / (m(m-1)) + the mean over pairs of (t_i - t_ij)(t_j - t_ji) is an **unbiased** estimate of
the variance of the mean (negative means of pairs are taken for 0). All t_ij come from m × m matrices, in O(m³).

**Low rank.** Where Y has a smaller rank than columns, R⁻¹ does not exist, and rounding decides what it is. Q then spans
the range of A up to rounding: the part outside is sampled with new vectors (``hutchinson.deflated``).

Source: Epperly, Tropp and Webber, SIAM J. Matrix Anal. Appl. 45 (2024), arXiv:2301.07825: section 2.1, and the
normalisation of section 2.3. The covariance is ours. The basis grows by blocks, without a product in vain.
"""

import math

import torch
from torch import Tensor

from losscope.core.estimate import Estimate
from losscope.estimators.budget import Budget, Progress
from losscope.estimators.samples import LEAST, Samples, caution, spread_of_forms, student
from losscope.estimators.search import Course, resumable
from losscope.estimators.traces.hutchinson import deflated
from losscope.estimators.vectors import Probes, dots, gram, without
from losscope.operators.operator import LinearOperator

__all__ = ["xtrace"]

_TINY = 64  # multiples of the rounding error below which a new direction is taken for none


@resumable
def xtrace(
    op: LinearOperator,
    *,
    rtol: float = 0.02,
    seconds: float = math.inf,
    products: int = 1000,
    memory: float = 2**30,
    seed: int = 0,
    progress: Progress | None = None,
) -> Course[Estimate]:
    """tr A ± its standard error, by two products per test vector; exact where these are n.

    Ends where the upper 95 % confidence limit of the error is below ``rtol · max(|tr A|, ‖A‖_F)``, or after ``seconds``
    or so many ``products``. ``memory`` limits the bytes of the 2 n m numbers of m test vectors: beyond it the basis is
    kept, and the rest is sampled at one product per sample. Below 4 products the error is infinite.

    >>> import torch
    >>> from losscope.operators.dense import Dense
    >>> found = xtrace(Dense(torch.diag(0.8 ** torch.arange(300.0))), rtol=1e-4)
    >>> abs(found.value - 5) < 3 * found.stderr < 0.002, found.products < 150
    (True, True)
    """
    budget = Budget(op, rtol=rtol, seconds=seconds, products=products, progress=progress)
    search = LeaveOneOut(budget, Probes(op, seed))
    while True:
        grew = search.grow(LEAST)
        traces = search.traces()
        stderr = search.stderr(traces)
        if grew:
            budget.report(stderr)
        if search.exhausted:
            break
        if stderr * caution(len(traces)) <= search.target(traces) or len(search) == op.size:
            return search.result(traces)
        if budget.late or not grew:
            yield from budget.pause(search.result(traces))
        if 2 * (len(search) + LEAST) > budget.fitting(memory):
            return (yield from search.finish(traces))
    return (yield from search.finish())


class LeaveOneOut:
    """Test vectors Ω, the basis Q of their images Y = QR, and H = QᵀAQ; they grow by blocks."""

    def __init__(self, budget: Budget, probes: Probes) -> None:
        op = budget.op
        self.budget, self._probes = budget, probes
        self.exhausted = False
        self.basis = torch.empty(op.size, 0, dtype=budget.working, device=op.device)
        self._tests = self.basis
        self._images = torch.empty(0, 0, dtype=torch.float64)  # R
        self._core = self._images  # H
        self._overlaps = self._images  # W
        self._squares = Samples()  # ‖Aω‖²

    def __len__(self) -> int:
        return self._tests.shape[1]

    def grow(self, wanted: int) -> bool:
        """Up to ``wanted`` more test vectors; False if there was none: all is known, or no product is left."""
        missing = self.basis.shape[1] - len(self._core)
        count = self.budget.block(min(wanted, self.budget.op.size - len(self)), cost=2)
        count = min(count, max(0, self.budget.left - missing) // 2)
        if count == 0 and not len(self):
            count = 1  # the one sample that one product allows
        if count == 0 or self.exhausted:
            return False
        tests = self._probes.sphere(count)
        images = self.budget.multiply(tests)
        self._squares.extend(dots(images, images).tolist())
        rest, old = without(self.basis, images)
        fresh, new = torch.linalg.qr(rest)
        left, sizes, right = torch.linalg.svd(new.double().cpu())
        seen = max(float(self._images.norm(dim=0).max()) if len(self) else 0.0, float(sizes[0]), _small())
        keep = sizes > _TINY * self.budget.rounding * seen
        self.exhausted = not bool(keep.all())
        fresh, new = fresh @ left[:, keep].to(fresh), sizes[keep, None] * right[keep]
        fresh, turn = torch.linalg.qr(without(self.basis, fresh)[0])
        self._extend(tests, fresh, old, turn.double().cpu() @ new)
        return True

    def _extend(self, tests: Tensor, fresh: Tensor, old: Tensor, new: Tensor) -> None:
        basis = torch.cat([self.basis, fresh], 1)
        before = torch.zeros(fresh.shape[1], len(self), dtype=torch.float64)
        self._images = torch.cat([torch.cat([self._images, before]), torch.cat([old, new])], 1)
        self._overlaps = torch.cat(
            [torch.cat([self._overlaps, gram(fresh, self._tests)]), gram(basis, tests)], 1
        )
        new_rows = basis[:, len(self._core) :]
        if new_rows.shape[1] and self.budget.left >= new_rows.shape[1]:
            column = gram(basis, self.budget.multiply(new_rows))
            self._core = torch.cat([torch.cat([self._core, column[: len(self._core)].T]), column], 1)
        self.basis, self._tests = basis, torch.cat([self._tests, tests], 1)

    def plain(self) -> Samples:
        """The quadratic forms ωᵢᵀAωᵢ: what Hutchinson's estimate is the mean of."""
        return Samples((self._overlaps * self._images).sum(0).tolist())

    def traces(self) -> Samples:
        """The estimates t_i; once the range is exhausted, or where only one vector fits, the plain forms."""
        n, m = self.budget.op.size, len(self)
        if self.exhausted or len(self._core) < m:
            return self.plain()
        off, kept, _ = self._left_out()
        forms = self._forms(kept)
        lengths = (n - kept.square().sum(0)).clamp_min(_small())
        inside = self._core.trace() - (off * (self._core @ off)).sum(0)
        return Samples((inside + (n - m + 1) * forms / lengths).tolist())

    def _left_out(self) -> tuple[Tensor, Tensor, Tensor]:
        """The columns sᵢ and vᵢ, and sᵢᵀrᵢ."""
        off = torch.linalg.inv(self._images).T
        lengths = off.norm(dim=0)
        off = off / lengths
        return off, self._overlaps - off * (off * self._overlaps).sum(0), 1 / lengths

    def covariance(self, traces: Samples) -> float:
        """The mean over pairs of (t_i - t_ij)(t_j - t_ji); 0 where it is negative.

        Beyond sᵢ the basis loses e = (s_j - a sᵢ) / √(1-a²), a = sᵢᵀs_j. All tensors here are [i, j].
        """
        n, m = self.budget.op.size, len(self)
        if m < 2 or self.exhausted or len(self._core) < m:
            return 0.0
        off, kept, corner = self._left_out()
        a = off.T @ off
        sine = (1 - a.square()).clamp_min(1e-14).sqrt()
        seen, core, cross = off.T @ self._overlaps, off.T @ self._core @ off, off.T @ self._core @ kept
        own = core.diagonal()
        ew = (seen.T - a * seen.diagonal()[:, None]) / sine
        ehe = (core.diagonal() - 2 * a * core + a**2 * own[:, None]) / sine**2
        ehv = (cross.T - a * cross.diagonal()[:, None]) / sine
        er = -a * corner[:, None] / sine
        forms = self._forms(kept)
        forms = forms[:, None] + 2 * ew * (er - ehv) + ew**2 * ehe
        lengths = (n - kept.square().sum(0))[:, None] + ew**2
        both = self._core.trace() - own[:, None] - ehe + (n - m + 2) * forms / lengths.clamp_min(_small())
        change = torch.tensor(traces.values, dtype=torch.float64)[:, None] - both
        product = (change * change.T).fill_diagonal_(0)
        return max(0.0, float(product.sum()) / (m * (m - 1)))

    @property
    def frobenius(self) -> float:
        """√ of the mean ‖Aω‖², an estimate of ‖A‖_F."""
        return math.sqrt(self._squares.mean)

    def target(self, traces: Samples) -> float:
        """The standard error that is asked for."""
        return self.budget.rtol * max(abs(traces.mean), self.frobenius)

    def stderr(self, traces: Samples) -> float:
        """The standard error of the mean, with that of rounding."""
        rounding = self.budget.noise(traces.mean, self.frobenius)
        if len(self) == len(self._core) == self.budget.op.size:
            return rounding
        variance = traces.stderr**2 + self.covariance(traces)
        if not self.exhausted and len(self) == len(self._core):
            variance = max(variance, self._expected() / len(self))
        return math.hypot(student(len(self)) * math.sqrt(variance), rounding)

    def _forms(self, kept: Tensor) -> Tensor:
        """uᵢᵀAuᵢ [m]."""
        return ((self._overlaps - 2 * kept) * self._images).sum(0) + (kept * (self._core @ kept)).sum(0)

    def _expected(self) -> float:
        """The variance of one form uᵀAu that the size of what the basis leaves makes expect.

        ‖(I-Q_iQ_iᵀ)Aωᵢ‖ = |sᵢᵀrᵢ| holds the images of the basis as well, and so is rather too large.
        """
        n, m = self.budget.op.size, len(self)
        _, kept, corner = self._left_out()
        forms = self._forms(kept)
        rest = n - m + 1
        trace = float((rest * forms / (n - kept.square().sum(0)).clamp_min(_small())).mean())
        return spread_of_forms(float(corner.square().mean()) * rest / n, trace, rest)

    def result(self, traces: Samples) -> Estimate:
        """The mean of the leave-one-out estimates."""
        return Estimate(traces.mean, self.stderr(traces), self.budget.used, self.budget.elapsed)

    def finish(self, prior: Samples | None = None) -> Course[Estimate]:
        """The trace over the basis, and the rest by Hutchinson with new vectors."""
        known, squares = float(self._core.trace()), float(self._core.square().sum())
        if self.basis.shape[1] == self.budget.op.size:
            rounding = self.stderr(Samples([known] * LEAST))
            return Estimate(known, rounding, self.budget.used, self.budget.elapsed)
        if self.budget.left < 1:
            known_part = Estimate(known, math.inf, self.budget.used, self.budget.elapsed)
            yield from self.budget.pause(known_part)
        before = (0, 0.0, 0.0) if prior is None else (len(prior), prior.mean, self.stderr(prior))
        return (yield from deflated(self.budget, self._probes, self.basis, known, squares, before))


def _small() -> float:
    return torch.finfo(torch.float64).tiny
