"""Linear cross-entropy, forward and backward: plain, torch's chunked one, ours, and the matrix products alone.

    python benchmarks/large_output/bench_linear_cross_entropy.py --classes 50257 128256 --dtype float32 bfloat16
    python benchmarks/large_output/bench_linear_cross_entropy.py --device cuda --tokens 8192 --features 4096

All variants run side by side in one process, one after the other in every round, in another order each time, so that a
disturbance meets all of them. Printed are medians, ratios to the plain loss and to the floor, and the peak memory of a
call beyond its inputs.

The floor is what no implementation of this design can beat: the three products (scores, gradient of the input, gradient
of the weights), without anything between them, into memory that is already there. ``floor, whole`` makes them of whole
matrices, ``floor, blocks`` block by block as ours does, which keeps scores in the cache; the faster one counts. For
bfloat16 on a CPU both are in float32 where that is faster (no bfloat16 instructions), casts not counted. On a GPU the
kernels of Liger and cut-cross-entropy run too, if installed, and a variant that fails is named with its error.
"""

import argparse
import ctypes
import gc
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from losscope.losses.large_output.backends import BACKENDS
from losscope.losses.large_output.head import Batch, Settings, make_head
from losscope.losses.large_output.linear_cross_entropy import linear_cross_entropy

Run = Callable[[], object]


def loss_and_gradients(loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor) -> Run:
    def run() -> tuple[Tensor, Tensor | None, Tensor | None]:
        leaves = x.detach().requires_grad_(), weight.detach().requires_grad_()
        value = loss(*leaves)
        value.backward()
        return value.detach(), leaves[0].grad, leaves[1].grad

    return run


def whole_products(x: Tensor, weight: Tensor) -> Run:
    """The three products of whole matrices, into memory that is already there."""
    scores, by_x, by_weight = x.new_ones(len(x), len(weight)), torch.ones_like(x), torch.ones_like(weight)

    def run() -> None:
        torch.mm(x, weight.t(), out=scores)
        torch.mm(scores, weight, out=by_x)
        torch.mm(scores.t(), x, out=by_weight)

    return run


def block_products(x: Tensor, weight: Tensor, rows: int, columns: int) -> Run:
    """The same in blocks of ``rows`` and ``columns``."""
    scores, by_x, by_weight = x.new_ones(rows * len(weight)), torch.ones_like(x), torch.ones_like(weight)

    def run() -> None:
        for r in range(0, len(x), rows):
            chunk, blocks = x[r : r + rows], []
            for c in range(0, len(weight), columns):
                w = weight[c : c + columns]
                start = len(chunk) * c
                z = scores[start : start + len(chunk) * len(w)].view(len(chunk), len(w))
                torch.mm(chunk, w.t(), out=z)
                by_x[r : r + rows].addmm_(z, w, beta=int(c > 0))
                blocks.append((c, z))
            for c, z in blocks:
                by_weight[c : c + columns].addmm_(z.t(), chunk, beta=int(r > 0))

    return run


def variants(n: int, d: int, v: int, dtype: torch.dtype, device: str, chosen: list[str]) -> dict[str, Run]:
    torch.set_default_device(device)
    generator = torch.Generator(device).manual_seed(0)
    x32 = torch.randn(n, d, generator=generator)
    w32 = torch.randn(v, d, generator=generator) / d**0.5
    target = torch.randint(v, (n,), generator=generator)
    x, weight = x32.to(dtype), w32.to(dtype)
    head = make_head(Batch(x, weight, None, None, target), Settings())
    everything: dict[str, Callable[[], Run]] = {
        "plain": lambda: loss_and_gradients(lambda a, b: F.cross_entropy(F.linear(a, b), target), x, weight),
        **{
            name: lambda name=name: loss_and_gradients(
                lambda a, b: linear_cross_entropy(a, b, target, backend=name), x, weight
            )
            for name in ("losscope", *BACKENDS)
        },
        "floor, whole": lambda: whole_products(x32, w32),
        "floor, blocks": lambda: block_products(x32, w32, head.rows, head.columns),
        "floor, bfloat16": lambda: whole_products(x, weight),
    }
    if dtype == torch.float32:
        del everything["floor, bfloat16"]
    if device == "cpu":
        del everything["liger"], everything["cce"]
    ready: dict[str, Run] = {}
    for name, make in everything.items():
        if chosen and name not in chosen:
            continue
        run = make()
        try:
            run()
        except Exception as error:  # noqa: BLE001  a peer's fault is a row of the table
            print(f"{name:16} does not run: {type(error).__name__}: {error}"[:150])
        else:
            ready[name] = run
    return ready


def trimmed_memory() -> float:
    """Resident MiB after everything free was given back."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return _status("VmRSS")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def peak_memory(run: Run) -> float:
    """MiB that a call needs at its peak, its results included."""
    if torch.get_default_device().type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - held) / 2**20
    before = trimmed_memory()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    run()
    return _status("VmHWM") - before


def seconds(run: Run) -> tuple[float, float]:
    """Wall and processor time of one call."""
    on_gpu = torch.get_default_device().type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(n: int, d: int, v: int, dtype: torch.dtype, device: str, rounds: int, chosen: list[str]) -> None:
    runs = variants(n, d, v, dtype, device, chosen)
    peaks = {name: peak_memory(run) for name, run in runs.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    order, shuffle = list(runs), random.Random(0)
    for _ in range(rounds):
        shuffle.shuffle(order)
        for name in order:
            times[name].append(seconds(runs[name]))
    medians = {name: statistics.median(t[0] for t in found) for name, found in times.items()}
    floor = min((t for name, t in medians.items() if name.startswith("floor")), default=float("nan"))
    where = f"{torch.get_num_threads()} thread(s)" if device == "cpu" else torch.cuda.get_device_name()
    print(f"\nN={n} D={d} V={v} {dtype}, {where}, torch {torch.__version__}, {rounds} rounds")
    print(f"{'':16} {'median s':>9} {'best s':>9} {'cpu s':>9} {'/ plain':>8} {'/ floor':>8} {'peak MiB':>9}")
    for name, found in times.items():
        cpu = statistics.median(t[1] for t in found)
        best = min(t[0] for t in found)
        plain = medians[name] / medians["plain"] if "plain" in medians else float("nan")
        ratios = f"{plain:8.3f} {medians[name] / floor:8.3f}"
        print(f"{name:16} {medians[name]:9.4f} {best:9.4f} {cpu:9.4f} {ratios} {peaks[name]:9.0f}")
    paired = [
        mine[0] / min(found[i][0] for name, found in times.items() if name.startswith("floor"))
        for i, mine in enumerate(times.get("losscope", []))
    ]
    if paired:
        print(
            f"losscope / faster floor of the same round: {statistics.median(paired):.3f} (median over rounds)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=4096, help="N")
    parser.add_argument("--features", type=int, default=512, help="D")
    parser.add_argument("--classes", type=int, nargs="+", default=[50257, 128256], help="V")
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="variants, by name")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for dtype in options.dtype:
        for v in options.classes:
            kind = getattr(torch, dtype)
            compare(options.tokens, options.features, v, kind, options.device, options.rounds, options.only)


if __name__ == "__main__":
    main()
