"""Records → bytes → records, bit for bit."""

import math
import struct
import zlib
from array import array
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losscope.recording import encode
from losscope.recording.decode import decode_records

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
ANY_DOUBLE = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
FLOAT32 = st.floats(width=32)
MICRO = st.integers(-(10**14), 10**14).map(lambda k: k / 1e6)
VALUES = st.one_of(
    ANY_DOUBLE, FLOAT32, MICRO, st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1e300])
)
STEPS = st.one_of(
    st.lists(INT64, min_size=1, max_size=30),
    st.tuples(st.integers(-1000, 10**9), st.integers(-5, 500), st.integers(1, 30)).map(
        lambda p: [p[0] + i * p[1] for i in range(p[2])]
    ),
)


@st.composite
def column(draw: st.DrawFn) -> tuple[list[int], list[float]]:
    steps = draw(STEPS)
    kind = draw(st.sampled_from([ANY_DOUBLE, FLOAT32, MICRO, VALUES]))
    return steps, draw(st.lists(kind, min_size=len(steps), max_size=len(steps)))


def round_trip(columns: list[tuple[list[int], list[float]]]) -> None:
    chunks = [(number, array("q", s), array("d", v)) for number, (s, v) in enumerate(columns)]
    decoded = decode_records(encode.encode_records(chunks))
    assert [c.number for c in decoded] == list(range(len(columns)))
    for chunk, (steps, values) in zip(decoded, columns, strict=True):
        assert chunk.expanded_steps().tolist() == steps
        assert chunk.values.astype(np.float64).tobytes() == array("d", values).tobytes()


@given(st.lists(column(), min_size=1, max_size=6))
def test_every_bit_comes_back(columns: list[tuple[list[int], list[float]]]) -> None:
    round_trip(columns)


def test_a_payload_of_a_nan_comes_back() -> None:
    (odd,) = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_1234))
    round_trip([([0, 1], [odd, 1.0])])


@pytest.mark.parametrize("values", [[0.1, -0.0], [-0.0, 0.1], [0.1, 2.0**60], [0.1, math.nan]])
def test_a_column_that_only_begins_as_millionths(values: list[float]) -> None:
    round_trip([([0, 1], values)])


@pytest.mark.parametrize(
    ("values", "most"),
    [
        ([0.001] * 1000, 0.2),  # a learning rate that stays
        ([round(i * 0.003 + 1e-5 * (i * 7919 % 13), 6) for i in range(1000)], 2.0),  # a clock
        ([3e-4 * (1 + math.cos(i / 300)) for i in range(1000)], 5.0),  # a schedule
        ([struct.unpack("f", struct.pack("f", math.exp(-i / 99)))[0] for i in range(1000)], 4.0),
    ],
)
def test_typical_series_are_small(values: list[float], most: float) -> None:
    body = encode.encode_records([(0, array("q", range(len(values))), array("d", values))])
    assert len(zlib.compress(body, 1)) / len(values) < most


def test_series_that_share_their_steps_share_the_column() -> None:
    steps, values = array("q", [3, 9, 10]), array("d", [1.0, 2.0, 3.0])
    one = len(encode.encode_records([(0, steps, values)]))
    two = len(encode.encode_records([(0, steps, values), (1, steps, values)]))
    assert two - one == 3 + 3 * 4  # directory entry and three float32


def test_planted_an_encoder_that_rounds_to_float32_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_as_float32", lambda values: array("f", values))
    with pytest.raises(AssertionError):
        round_trip([([0], [0.1])])


def test_planted_an_encoder_that_compares_by_value_loses_the_sign_of_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def by_value(values: "array[float]") -> "array[int]":
        whole = [round(v * 1e6) for v in values]
        return encode._unsigned([whole[0], *(b - a for a, b in pairwise(whole))])

    monkeypatch.setattr(encode, "_as_float32", lambda values: None)
    monkeypatch.setattr(encode, "_as_micro", by_value)
    with pytest.raises(AssertionError):
        round_trip([([0, 1], [0.1, -0.0])])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_or_decoded_but_never_crash(body: bytes) -> None:
    try:
        chunks = decode_records(body)
    except ValueError:
        return
    assert sum(len(c.values) for c in chunks) <= len(body)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff" * 11,  # a number without end
        encode.varint(1) + b"\x00" + encode.varint(1 << 40) + b"\x00\x00",  # 2⁴⁰ steps in one progression
        encode.varint(1 << 40),  # 2⁴⁰ columns
        encode.varint(1)
        + b"\x00"
        + encode.varint(2)
        + encode.varint(encode.zigzag((1 << 63) - 1))
        + b"\x02\x00",
        encode.varint(1) + b"\x07\x01\x00\x00",  # unknown coding
        encode.varint(0) + encode.varint(1) + b"\x00\x00\x00",  # a column that is not there
        encode.varint(0) + encode.varint(0) + b"left over",
    ],
)
def test_claims_beyond_the_limits_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_records(body)
