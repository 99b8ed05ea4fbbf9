"""Records to bytes: one columnar body for the records of many series.

Steps and values lie in separate columns. A column of steps is usually an arithmetic progression
(start, stride, count: a few bytes) and is shared by all series that recorded at the same steps.
Values are stored by the first of these that gives every bit back:

* ``FLOAT32``: 4 bytes, where each value is a float32 (anything that came from a float32 tensor);
* ``MICRO``: differences of whole millionths, where each value is the double nearest to k/10⁶
  (times rounded to a microsecond, counts, most learning rates);
* ``FLOAT64``: the bits of the double as an integer, differenced twice modulo 2⁶⁴. A smooth curve (a
  schedule, a running total) leaves few bits; a rough one costs 1 % more than the double itself.

The values of all series with one coding are joined and *byte-shuffled* (all first bytes, all second
bytes, …), which puts the exponents of neighbours side by side where zlib finds them alike.

Written with the standard library only: the watched script may still have to set variables that
numpy reads when it is imported. Cost: 0.2 to 0.4 µs per record, on the recorder's own thread.

Reference: K. Masui et al., "A compression scheme for radio data in high performance computing"
(bitshuffle), arXiv:1503.00638; the byte shuffle is HDF5's filter.
"""

import sys
from array import array
from collections.abc import Iterable, Sequence
from operator import sub

FLOAT32, FLOAT64, MICRO = 0, 1, 2
PROGRESSION, DIFFERENCES = 0, 1
MICRO_PER_UNIT = 1_000_000.0

Chunk = tuple[int, "array[int]", "array[float]"]
"""Series number, steps (``array("q")``), values (``array("d")``) of the same length."""


def encode_records(chunks: Sequence[Chunk]) -> bytes:
    """The body of a record frame. Empty chunks are not allowed."""
    columns: dict[bytes, int] = {}
    directory: list[bytes] = [varint(len(chunks))]
    float32, float64, micro = array("f"), array("Q"), array("Q")
    for number, steps, values in chunks:
        column = columns.setdefault(_steps_column(steps), len(columns))
        if (narrow := _as_float32(values)) is not None:
            coding = FLOAT32
            float32.extend(narrow)
        elif (differences := _as_micro(values)) is not None:
            coding = MICRO
            micro.extend(differences)
        else:
            coding = FLOAT64
            float64.extend(_bit_differences(values))
        directory += (varint(number), varint(column), bytes((coding,)))
    return b"".join(
        (varint(len(columns)), *columns, *directory, _shuffle(float32), _shuffle(float64), _shuffle(micro))
    )


def varint(number: int) -> bytes:
    """Base-128 coding of a non-negative integer, low part first.

    >>> varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number: int) -> int:
    """A signed 64-bit integer as an unsigned one, small for small magnitudes: 0, −1, 1, −2 → 0, 1, 2, 3."""
    return (number << 1 ^ number >> 63) & 0xFFFFFFFFFFFFFFFF


def _steps_column(steps: "array[int]") -> bytes:
    head = varint(len(steps))
    first = varint(zigzag(steps[0]))
    differences = [_wrap(d) for d in map(sub, steps[1:], steps)]
    stride = differences[0] if differences else 0
    even = differences.count(stride) == len(differences)
    if even and steps[0] + stride * len(differences) == steps[-1]:  # not where a difference wrapped around
        return bytes((PROGRESSION,)) + head + first + varint(zigzag(stride))
    return bytes((DIFFERENCES,)) + head + first + _shuffle(_unsigned(differences))


def _wrap(difference: int) -> int:
    """A difference modulo 2⁶⁴, as an int64, so that adding it up wraps back."""
    return (difference + (1 << 63)) % (1 << 64) - (1 << 63)


def _unsigned(differences: Iterable[int]) -> "array[int]":
    return array("Q", [zigzag(d) for d in differences])


def _as_float32(values: "array[float]") -> "array[float] | None":
    narrow = array("f", values)
    return narrow if array("d", narrow).tobytes() == values.tobytes() else None


def _as_micro(values: "array[float]") -> "array[int] | None":
    if not _is_micro(values[0]):
        return None
    try:
        whole = [round(v * MICRO_PER_UNIT) for v in values]
    except (ValueError, OverflowError):  # nan, inf
        return None
    if max(map(abs, whole)) >= 1 << 53:
        return None
    if array("d", [k / MICRO_PER_UNIT for k in whole]).tobytes() != values.tobytes():
        return None
    return _unsigned([whole[0], *map(sub, whole[1:], whole)])


def _bit_differences(values: "array[float]") -> "array[int]":
    bits = array("q")
    bits.frombytes(values.tobytes())
    first = [bits[0], *map(sub, bits[1:], bits)]
    second = [first[0], *map(sub, first[1:], first)]
    return _unsigned([_wrap(d) for d in second])


def _is_micro(value: float) -> bool:
    """Cheap look at one value, to spare the column the full attempt."""
    scaled = value * MICRO_PER_UNIT
    return abs(scaled) < 1 << 53 and round(scaled) / MICRO_PER_UNIT == value


def _shuffle(column: "array[int] | array[float]") -> bytes:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    raw, width = column.tobytes(), column.itemsize
    return b"".join([raw[plane::width] for plane in range(width)])
