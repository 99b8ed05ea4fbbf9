"""Kernels: closed forms, integrals by sampling, scikit-learn's, symmetry and positive semi-definiteness."""

import math

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import pairwise

from losscope.core.errors import BadUsage
from losscope.kernels.comparison.finite_width import finite_width, relu_network
from losscope.kernels.functions.arc_cosine import ReLUNNGP, ReLUNTK
from losscope.kernels.functions.polynomial import Linear, Polynomial
from losscope.kernels.functions.rbf import RBF

KERNELS = {
    "rbf": RBF(1.3),
    "linear": Linear(0.5, 1.0),
    "polynomial": Polynomial(3, 0.5, 1.0),
    "nngp": ReLUNNGP(2, 1.5, 0.3),
    "ntk": ReLUNTK(3, 2.0, 0.1),
    "ntk without bias": ReLUNTK(1),
    "ntk of no layer": ReLUNTK(0),
}


@pytest.fixture
def x():
    return torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("name", KERNELS)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 5), st.sampled_from([1e-3, 1.0, 30.0]))
def test_symmetric_positive_and_consistent(name, seed, n, d, scale):
    """Also with inputs that agree or are zero."""
    kernel = KERNELS[name]
    x = scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = torch.cat([x, x[:1], torch.zeros(1, d), -x[:1]])
    gram = kernel(x)
    size = float(gram.abs().max())
    torch.testing.assert_close(gram, gram.T, rtol=1e-12, atol=1e-15 * size)
    assert torch.linalg.eigvalsh(gram)[0] >= -1e-14 * len(gram) * size
    torch.testing.assert_close(kernel.diagonal(x), gram.diagonal(), rtol=1e-12, atol=1e-15 * size)
    torch.testing.assert_close(kernel(x, x.clone()), gram, rtol=1e-11, atol=1e-14 * size)
    torch.testing.assert_close(kernel(x, x[:2]), gram[:, :2], rtol=1e-11, atol=1e-14 * size)


def test_against_scikit_learn(x):
    z = x[:4] + 0.1
    for kernel, function, options in (
        (RBF(1.3), pairwise.rbf_kernel, {"gamma": 0.5 / 1.3**2}),
        (Polynomial(3, 0.5, 1.0), pairwise.polynomial_kernel, {"degree": 3, "gamma": 0.5, "coef0": 1.0}),
        (Linear(), pairwise.linear_kernel, {}),
    ):
        wanted = torch.tensor(function(x.numpy(), z.numpy(), **options))
        torch.testing.assert_close(kernel(x, z), wanted, rtol=1e-12, atol=1e-14)


def test_median_heuristic(x):
    distances = torch.pdist(x)
    assert RBF.median(x).length == pytest.approx(float(distances.median()))
    twice = torch.cat([x, x, x])
    assert RBF.median(twice).length == pytest.approx(float(distances.median()), rel=0.2)


def test_arc_cosine_is_the_covariance_of_a_layer(x):
    """Σ¹ = σ_w² E relu(u) relu(v) + σ_b², by quadrature in polar coordinates of the plane of the two inputs."""
    kernel = ReLUNNGP(1, 1.5, 0.3)
    a, b = x[0], x[1]
    base = ReLUNNGP(0, 1.5, 0.3)(x[:2]).numpy()
    angles = (np.arange(20_000) + 0.5) * 2 * math.pi / 20_000
    root = np.linalg.cholesky(base)
    u, v = root[0, 0] * np.cos(angles), root[1, 0] * np.cos(angles) + root[1, 1] * np.sin(angles)
    # E over the radius of r² e^{-r²/2} r is 2, over 2π of angle
    mean = 2 * float((np.maximum(u, 0) * np.maximum(v, 0)).mean())
    assert float(kernel(a[None], b[None])) == pytest.approx(1.5 * mean + 0.3, rel=1e-5)


def test_known_values():
    """Cho and Saul: κ₀(0) = ½, κ₁(0) = 1/π; with σ_w² = 2 the diagonal of the NTK is depth + 1 for |x|² = d/2."""
    e = torch.eye(2)
    assert float(ReLUNTK(1)(e)[0, 1]) == pytest.approx(1 / math.pi)
    assert float(ReLUNTK(1)(e, -e)[0, 0]) == pytest.approx(0.0, abs=1e-12)  # opposite inputs: κ₀ = κ₁ = 0
    assert ReLUNTK(5)(e).diagonal().tolist() == pytest.approx([6.0, 6.0])
    assert ReLUNNGP(5)(e).diagonal().tolist() == pytest.approx([1.0, 1.0])
    # homogeneous of degree 1 in each input without biases
    torch.testing.assert_close(ReLUNTK(2)(3 * e, 2 * e), 6 * ReLUNTK(2)(e, e))


def test_inputs_that_nearly_agree_need_the_clip():
    """A cosine that is rounded above 1 has no arc-cosine: without the clip this is NaN."""
    x = torch.randn(1, 300, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    many = torch.cat([x * s for s in torch.linspace(0.1, 3, 200, dtype=torch.float64)])
    norms = many.norm(dim=1)
    assert ((many @ many.T) / (norms[:, None] * norms[None])).max() > 1  # the danger is real
    for kernel in (ReLUNTK(3), ReLUNNGP(3)):
        found = kernel(many, many.clone())
        assert found.isfinite().all()
        torch.testing.assert_close(found, kernel(many), rtol=1e-12, atol=0)
        scale = (
            many.norm(dim=1)[:, None] * many.norm(dim=1)[None] / 150
        )  # all angles are 0: exact to the last digits
        torch.testing.assert_close(
            found, scale * (4 if isinstance(kernel, ReLUNTK) else 1), rtol=1e-9, atol=0
        )


def _textbook(x, z, depth, w, b):
    """The recursion as printed, with arccos and a clip, in 60 digits."""
    mp.mp.dps = 60
    x, z = ([mp.mpf(float(v)) for v in a] for a in (x, z))
    xx, zz, xz = (
        w * mp.fsum(p * q for p, q in zip(u, v, strict=True)) / len(x) + b
        for u, v in ((x, x), (z, z), (x, z))
    )
    total = xz
    for _ in range(depth):
        size = mp.sqrt(xx * zz)
        cosine = min(mp.mpf(1), max(mp.mpf(-1), xz / size))
        angle = mp.acos(cosine)
        slope, bent = (mp.pi - angle) / mp.pi, (mp.sin(angle) + (mp.pi - angle) * cosine) / mp.pi
        xz, xx, zz = b + w * size * bent / 2, b + w * xx / 2, b + w * zz / 2
        total = xz + w * slope * total / 2
    return float(xz), float(total)


@pytest.mark.parametrize("distance", [0.0, 1e-9, 1e-4, 1e-2, 1.0, 30.0])
def test_against_the_recursion_in_sixty_digits(x, distance):
    """To 1e-12, also for neighbours at 1e-9, where an arc-cosine in double precision has lost half of its digits."""
    for depth, w, b in ((1, 2.0, 0.0), (3, 1.7, 0.25)):
        for a in (x[0], -x[0]):
            z = a + distance * x[1]
            nngp, ntk = _textbook(x[0], z, depth, mp.mpf(w), mp.mpf(b))
            assert float(ReLUNNGP(depth, w, b)(x[:1], z[None])) == pytest.approx(nngp, rel=1e-12, abs=1e-12)
            assert float(ReLUNTK(depth, w, b)(x[:1], z[None])) == pytest.approx(ntk, rel=1e-12, abs=1e-12)


def _mutant(x, depth):
    """The half of the variance of a ReLU left out of the slopes: plausible, as κ₀ is a probability."""
    kernel, total = ReLUNTK(depth), None
    for covariance, slope in kernel._layers(x, None):
        total = covariance if total is None else covariance + kernel.weight_variance * slope * total
    return total


def test_finite_networks_tend_to_the_kernel_as_the_root_of_width():
    x = torch.randn(12, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for depth, bias, widths in ((1, 0.0, [32, 128, 512]), (2, 0.4, [32, 96, 256])):
        found = finite_width(x, widths, depth=depth, bias_variance=bias, seeds=6)
        assert abs(found.slope + 0.5) < 3 * found.stderr and found.stderr < 0.15
        assert sum(found.errors[-1]) / 6 < 0.2
    assert "width^(" in repr(found) and "<pre>" in found._repr_html_()
    # the wrong limit is not approached
    limit, wrong = ReLUNTK(1)(x), _mutant(x, 1)
    assert float((wrong - limit).norm() / limit.norm()) > 3 * sum(finite_width(x, [32, 512]).errors[-1]) / 5


def test_network_of_the_parametrisation_is_seeded_and_leaves_the_random_state():
    state = torch.random.get_rng_state()
    one, two = relu_network(3, 8, 2, seed=5), relu_network(3, 8, 2, seed=5)
    assert torch.equal(state, torch.random.get_rng_state())
    x = torch.ones(2, 3, dtype=torch.float64)
    assert torch.equal(one(x), two(x))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: RBF(0.0), "a number above 0"),
        (lambda: RBF(1.0)(torch.tensor([1.0, float("nan")])), "1 rows, the first is 1"),
        (lambda: RBF(1.0)(torch.zeros(0, 3)), "at least one input"),
        (lambda: RBF(1.0)(["a", "b"]), "array of numbers"),
        (lambda: RBF(1.0)(torch.zeros(2, 3), torch.zeros(2, 4)), "3 and 4 numbers"),
        (lambda: RBF.median(torch.ones(5, 2)), "all inputs agree"),
        (lambda: Polynomial(0), "whole number from 1"),
        (lambda: Linear(1.0, -1.0), "a number from 0"),
        (lambda: ReLUNTK(-1), "number of hidden layers"),
        (lambda: ReLUNTK(1, 0.0), "a number above 0"),
        (lambda: finite_width(torch.ones(2, 2), [8]), "at least two widths"),
    ],
)
def test_bad_input_is_one_line(call, says):
    with pytest.raises(BadUsage, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_names_of_the_room_are_what_they_say():
    """A module of the same name would hide a function once it is imported."""
    import losscope

    for name in dir(losscope.kernels):
        value = getattr(losscope.kernels, name)
        assert callable(value) and value.__doc__, name
        assert value.__name__ == name
