"""Settings of the whole process that a loss may change: what they are, and how to put them back."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from losscope.core.text import Text


@dataclass(frozen=True, slots=True)
class Setting:
    """What it is called, an expression that shows it, how to read it and how to put it back. ``plain``: what a process
    begins with, where numbers depend on it."""

    name: Text
    shown: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    plain: Any = None


def _write_device(device: torch.device) -> None:
    """The cpu is what torch begins with: without a mode on the stack, which would slow every call."""
    torch.set_default_device(None if device.type == "cpu" else device)


def _write_filters(filters: tuple[Any, ...]) -> None:
    warnings.resetwarnings()  # tells the registries of modules that they are out of date
    warnings.filters.extend(filters)  # type: ignore[attr-defined]


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  cheaper than a Path, at every call
    except OSError:  # it has been deleted
        return None


def _write_folder(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


SETTINGS = (
    Setting(
        Text(en="the default device", zh="默认设备"),
        "torch.get_default_device()",
        lambda: torch.empty(0).device,
        _write_device,
        torch.device("cpu"),
    ),
    Setting(
        Text(en="the default dtype", zh="默认数据类型"),
        "torch.get_default_dtype()",
        torch.get_default_dtype,
        torch.set_default_dtype,
        torch.float32,
    ),
    Setting(
        Text(en="grad mode", zh="梯度模式"),
        "torch.is_grad_enabled()",
        torch.is_grad_enabled,
        torch.autograd.set_grad_enabled,
        True,
    ),
    Setting(
        Text(en="anomaly detection", zh="异常检测"),
        "torch.is_anomaly_enabled()",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda both: torch.autograd.set_detect_anomaly(*both),
        (False, True),
    ),
    Setting(
        Text(en="deterministic algorithms", zh="确定性算法"),
        "torch.are_deterministic_algorithms_enabled()",
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda both: torch.use_deterministic_algorithms(both[0], warn_only=both[1]),
        (False, False),
    ),
    Setting(
        Text(en="the number of threads", zh="线程数"),
        "torch.get_num_threads()",
        torch.get_num_threads,
        torch.set_num_threads,
    ),
    Setting(
        Text(en="the precision of float32 products", zh="float32 乘法精度"),
        "torch.get_float32_matmul_precision()",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    Setting(
        Text(en="autocast on the cpu", zh="CPU 自动混合精度"),
        'torch.is_autocast_enabled("cpu")',
        lambda: torch.is_autocast_enabled("cpu"),
        lambda on: torch.set_autocast_enabled("cpu", on),
        False,
    ),
    Setting(
        Text(en="the filters of warnings", zh="警告过滤器"),
        '__import__("warnings").filters',
        lambda: tuple(warnings.filters),
        _write_filters,
    ),
    Setting(
        Text(en="the working folder", zh="工作目录"), '__import__("os").getcwd()', _folder, _write_folder
    ),
)


_READERS = tuple(setting.read for setting in SETTINGS)  # read before and after every call of a loss


def read() -> list[Any]:
    """All settings as they are."""
    return [reader() for reader in _READERS]


def write(values: list[Any]) -> None:
    """Puts back those that differ."""
    present = read()
    if present != values:
        for setting, value, now in zip(SETTINGS, values, present, strict=True):
            if now != value:
                setting.write(value)


class kept:  # noqa: N801  a context manager, written out since it is entered at every call
    """Whatever is changed within is put back. Cost: some microseconds."""

    def __enter__(self) -> None:
        self._before = read()

    def __exit__(self, *_: object) -> None:
        write(self._before)


@contextmanager
def plain() -> Iterator[None]:
    """Within, the settings that numbers depend on are those that torch begins with, whatever the caller has set."""
    with kept():
        write([s.read() if s.plain is None else s.plain for s in SETTINGS])
        # A caller's ``with torch.device(…)`` is not undone by settings; only another one stands above it.
        with nullcontext() if torch.empty(0).device.type == "cpu" else torch.device("cpu"):
            yield


@contextmanager
def environment_kept() -> Iterator[None]:
    """Changed environment variables are put back. Cost: a tenth of a millisecond."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update({n: v for n, v in before.items() if os.environ.get(n) != v})
