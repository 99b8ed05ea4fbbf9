"""Frames: torn tails, flipped bits, hostile lengths."""

import json
import random
import struct
import tracemalloc
import zlib
from array import array
from pathlib import Path

import pytest

from losscope.core.errors import DamagedRecording
from losscope.recording import segment
from losscope.recording.encode import encode_records
from losscope.recording.segment_reader import SegmentRecords, read_segment

FRAMES = 5
PER_FRAME = 7


def make_segment() -> bytes:
    """A header, names (twice), and five frames of seven records of two series: values are 2·step and −step/3."""
    parts = [segment.file_header(rank=0, pid=1, started=1.0)]
    names = segment.definitions_body([(0, "loss", "0"), (1, "gradient.norm", "0")])
    parts += [segment.pack_frame(segment.DEFINITIONS, n, names) for n in (1, 2)]
    for number in range(FRAMES):
        steps = range(number * PER_FRAME, (number + 1) * PER_FRAME)
        chunks = [
            (0, array("q", steps), array("d", [2.0 * s for s in steps])),
            (1, array("q", steps), array("d", [-s / 3 for s in steps])),
        ]
        parts.append(segment.pack_frame(segment.RECORDS, 3 + number, encode_records(chunks)))
    return b"".join(parts)


def frame_starts(data: bytes) -> list[int]:
    starts, position = [], len(segment.MAGIC)
    while position < len(data):
        starts.append(position)
        (stored,) = struct.unpack_from("<I", data, position + 5)
        position += segment.FRAME_OVERHEAD + stored
    return starts


def read(tmp_path: Path, data: bytes) -> SegmentRecords:
    path = tmp_path / "0-1.seg"
    path.write_bytes(data)
    return read_segment(path)


def assert_only_true_records(records: SegmentRecords) -> int:
    """Every record read is one that was written, in order; returns how many there are."""
    count = 0
    for key, value_of in ((("loss", "0"), lambda s: 2.0 * s), (("gradient.norm", "0"), lambda s: -s / 3)):
        steps = [int(s) for chunk in records.chunks.get(key, []) for s in chunk.expanded_steps()]
        values = [float(v) for chunk in records.chunks.get(key, []) for v in chunk.values]
        assert steps == sorted(set(steps))
        assert set(steps) <= set(range(FRAMES * PER_FRAME))
        assert values == [value_of(s) for s in steps]
        count += len(steps)
    assert set(records.chunks) <= {("loss", "0"), ("gradient.norm", "0")}
    return count


ALL = 2 * FRAMES * PER_FRAME


def test_an_intact_segment(tmp_path: Path) -> None:
    records = read(tmp_path, make_segment())
    assert assert_only_true_records(records) == ALL
    assert records.damage == []
    assert records.started == 1.0


def check_flips(tmp_path: Path) -> None:
    data = make_segment()
    chance = random.Random(0)
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << chance.randrange(8)
        records = read(tmp_path, bytes(flipped))
        assert assert_only_true_records(records) >= ALL - 2 * PER_FRAME, position
        assert records.damage, position


def test_a_flipped_bit_costs_one_frame_at_most_and_is_told(tmp_path: Path) -> None:
    check_flips(tmp_path)


def test_planted_a_reader_that_ignores_the_checksum_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trusting(data: bytes, position: int) -> tuple[segment.Frame | None, int]:
        _, kind, stored, raw, sequence = struct.unpack_from("<4sBIII", data, position)
        start = position + segment.FRAME_OVERHEAD
        return segment.Frame(kind, raw, sequence, data[start : start + stored]), 0

    monkeypatch.setattr(segment, "_frame_at", trusting)
    assert assert_only_true_records(read(tmp_path, make_segment())) == ALL
    with pytest.raises((AssertionError, struct.error)):
        check_flips(tmp_path)


def test_planted_a_reader_that_gives_up_at_damage_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_frame_at = segment._frame_at
    given_up: set[int] = set()

    def impatient(data: bytes, position: int) -> tuple[segment.Frame | None, int]:
        frame = (None, 0) if id(data) in given_up else true_frame_at(data, position)
        if frame[0] is None:
            given_up.add(id(data))
        return frame

    monkeypatch.setattr(segment, "_frame_at", impatient)
    with pytest.raises(AssertionError):
        check_flips(tmp_path)


def test_truncation_at_every_byte_keeps_the_frames_before_it(tmp_path: Path) -> None:
    data = make_segment()
    starts = [*frame_starts(data), len(data)]
    for length in range(len(data)):
        records = read(tmp_path, data[:length])
        whole = sum(length >= end for end in starts[4:])
        assert assert_only_true_records(records) == 2 * PER_FRAME * whole
        assert bool(records.damage) == (length not in starts)


def test_a_frame_cut_out_and_a_frame_twice_are_told(tmp_path: Path) -> None:
    data = make_segment()
    starts = frame_starts(data)
    without = data[: starts[4]] + data[starts[5] :]
    records = read(tmp_path, without)
    assert assert_only_true_records(records) == ALL - 2 * PER_FRAME
    assert records.damage == ["1 frame(s) before frame 5 are lost"]
    twice = data[: starts[5]] + data[starts[4] :]
    records = read(tmp_path, twice)
    assert assert_only_true_records(records) == ALL
    assert len(records.damage) == 1


def test_rubbish_in_front_and_between(tmp_path: Path) -> None:
    data = make_segment()
    starts = frame_starts(data)
    rubbish = random.Random(1).randbytes(5000) + segment.SYNC + b"\x02" + b"\xff" * 40
    records = read(tmp_path, rubbish + data[len(segment.MAGIC) : starts[5]] + rubbish + data[starts[5] :])
    assert assert_only_true_records(records) == ALL
    assert records.damage


def test_an_unknown_version_names_the_remedy(tmp_path: Path) -> None:
    body = json.dumps({"version": 99}).encode()
    with pytest.raises(DamagedRecording, match=r"99.*read it with"):
        read(tmp_path, segment.MAGIC + segment.pack_frame(segment.HEADER, 0, body))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"version": null}', b"[" * 100_000])
def test_a_header_of_other_content_is_damage(tmp_path: Path, body: bytes) -> None:
    records = read(tmp_path, segment.MAGIC + segment.pack_frame(segment.HEADER, 0, body))
    assert records.damage


@pytest.mark.parametrize("body", [b"3", b"[[1]]", b'[["a","b","c"]]', b"\xff", b"[" * 100_000])
def test_definitions_of_other_content_are_damage(tmp_path: Path, body: bytes) -> None:
    data = segment.file_header() + segment.pack_frame(segment.DEFINITIONS, 1, body)
    assert read(tmp_path, data).damage


def test_records_without_names_are_counted(tmp_path: Path) -> None:
    data = make_segment()
    starts = frame_starts(data)
    records = read(tmp_path, data[: starts[1]] + data[starts[3] :])
    assert assert_only_true_records(records) == 0
    assert any("names are lost" in text for text in records.damage)


def hostile_frame(kind: int, stored: bytes, raw_length: int, sequence: int = 1) -> bytes:
    """A frame with a true checksum and any claim."""
    prefix = struct.pack("<4sBIII", segment.SYNC, kind, len(stored), raw_length, sequence)
    return prefix + struct.pack("<I", zlib.crc32(stored, zlib.crc32(prefix[4:]))) + stored


def peak_memory(tmp_path: Path, data: bytes) -> int:
    path = tmp_path / "0-1.seg"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        assert read_segment(path).damage
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_hostile_lengths_and_bombs_stay_small(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(200 << 20), 9)
    head = segment.file_header()
    for data in (
        head + struct.pack("<4sBIIII", segment.SYNC, 2, 0xFFFFFFFF, 0xFFFFFFFF, 1, 0),
        head + hostile_frame(segment.RECORDS, bomb, 200 << 20),
        head + hostile_frame(segment.RECORDS, bomb, 4 << 20),
        head + hostile_frame(segment.DEFINITIONS, bomb, 4 << 20),
        head + hostile_frame(segment.RECORDS, zlib.compress(b"\x01"), 4 << 20),
    ):
        assert peak_memory(tmp_path, data) < (16 << 20) + 4 * len(data)


def test_the_expansion_of_a_whole_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("losscope.recording.segment_reader._RECORDS_FREE", 10_000)
    zeros = (0, array("q", range(segment.MAX_RECORDS)), array("d", bytes(8 * segment.MAX_RECORDS)))
    body = encode_records([zeros])
    data = segment.file_header() + b"".join(segment.pack_frame(2, n, body) for n in range(1, 200))
    assert peak_memory(tmp_path, data) < 20 << 20


def test_a_file_of_markers_does_not_keep_the_reader_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = 0
    true_crc = segment._crc

    def counting(prefix: bytes, stored: bytes | memoryview) -> int:
        nonlocal checked
        checked += len(stored)
        return true_crc(prefix, stored)

    monkeypatch.setattr(segment, "_crc", counting)
    marker = struct.pack("<4sBIIII", segment.SYNC, 2, 600_000, 0, 1, 0)
    assert read(tmp_path, marker * 50_000).damage
    assert checked < (64 << 20) + 16 * len(marker) * 50_000 + 600_000
