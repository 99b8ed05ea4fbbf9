"""How often an eigenvalue of a finished search lies outside its bound, for spectra with close outliers.

    python benchmarks/calibration/eigenvalue_bounds.py [--seeds 200]

``nowhere``: no eigenvalue lies within the bound of the value; ``other``: the eigenvalue of that place does not. Rows
are numbers of steps that a value must have kept its bound before a search may end. Of 400 values each: with 0 steps
56 + 90 of close outliers at a tolerance of 1e-2, with 3 steps 2 + 3, for three products more.
"""

import argparse

import torch

from losscope.estimators.extremes import lanczos
from losscope.operators.dense import Dense

SPECTRA = {
    "close outliers": lambda: torch.cat([torch.randn(60) * 0.1, torch.rand(3) + 0.5]).double(),
    "decaying outliers": lambda: torch.cat(
        [torch.randn(300).abs() * 0.05, 10 * torch.rand(10) ** 3]
    ).double(),
}


def matrix(values: torch.Tensor) -> torch.Tensor:
    turn, _ = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64))
    return turn @ torch.diag(values) @ turn.T


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=200)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    for name, draw in SPECTRA.items():
        for rtol in (1e-2, 1e-3):
            for steps in (0, 1, 2, 3):
                lanczos._CONFIRMED = steps
                nowhere = other = products = 0
                for seed in range(seeds):
                    torch.manual_seed(seed)
                    values = draw()
                    found = lanczos.eigsh(Dense(matrix(values)), 2, "LA", rtol=rtol, seed=seed)
                    products += found.products
                    truth = values.sort(descending=True).values
                    for i, (value, bound) in enumerate(zip(found.values, found.bounds, strict=True)):
                        nowhere += float((truth - value).abs().min()) > bound + 1e-12
                        other += abs(float(truth[i]) - value) > bound + 1e-12
                print(
                    f"{name:18} {rtol:g} {steps} steps: nowhere {nowhere}, other {other}, "
                    f"products {products / seeds:.1f}"
                )


if __name__ == "__main__":
    main()
