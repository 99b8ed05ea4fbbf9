"""The segment file: append-only frames, each readable without its neighbours.

::

    file   = magic (8 bytes), frame, frame, …
    frame  = sync marker (4), kind (1), stored length (4), raw length (4), sequence (4), CRC-32 (4), body
    body   = zlib stream of ``raw length`` bytes; the CRC covers kind, lengths, sequence and body

The first frame is the header (JSON with the version, rank and process); its layout never changes, so
that any later version can be told apart from damage. *Definition* frames intern series names as
numbers. They are written twice, because every later record depends on them. *Record* frames hold
the records of about half a second (see ``encode``).

A reader that meets a frame whose CRC does not match looks for the next sync marker: a torn tail or
flipped bits cost the frames that they touch and no other. Lengths are bounded before anything is
allocated, so that a hostile file cannot make the reader allocate much more than its own size allows.

All numbers are little-endian. Cost: 21 bytes per frame.
"""

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from losscope.core.errors import DamagedRecording

MAGIC = b"\x89LSCOPE\n"
VERSION = 1
SYNC = b"\xf1LS\xa6"
HEADER, DEFINITIONS, RECORDS = 0, 1, 2
MAX_BODY = 4 << 20
"""Largest body, stored or raw, in bytes. The writer stays well below it."""
MAX_RECORDS = 32_768
"""Most records that the writer puts into one frame; the worst case is 16 bytes for each."""
COMPRESSION_LEVEL = 1
"""Measured in benchmarks/recording: level 6 saves under 4 % here and takes several times as long."""

_PREFIX = struct.Struct("<4sBIII")
_CRC = struct.Struct("<I")
FRAME_OVERHEAD = _PREFIX.size + _CRC.size
_MAX_MESSAGES = 20


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame whose CRC matched, body still compressed."""

    kind: int
    raw_length: int
    sequence: int
    stored: bytes

    def body(self) -> bytes:
        """The decompressed body; never more than ``raw_length`` bytes are produced.

        Raises ``ValueError`` or ``zlib.error`` where the stream and the declared length disagree.
        """
        inflate = zlib.decompressobj()
        raw = inflate.decompress(self.stored, self.raw_length + 1)
        if len(raw) != self.raw_length or not inflate.eof:
            raise ValueError("the body does not have the length that its frame declares")
        return raw


@dataclass(slots=True)
class Scan:
    """The intact frames of one segment, the header's fields, and what was damaged."""

    frames: list[Frame] = field(default_factory=list)
    header: dict[str, Any] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)


def pack_frame(kind: int, sequence: int, body: bytes) -> bytes:
    """One frame, ready to be appended."""
    stored = zlib.compress(body, COMPRESSION_LEVEL)
    prefix = _PREFIX.pack(SYNC, kind, len(stored), len(body), sequence & 0xFFFFFFFF)
    return prefix + _CRC.pack(_crc(prefix, stored)) + stored


def file_header(**fields: Any) -> bytes:
    """Magic and header frame (number 0): how every segment begins."""
    return MAGIC + pack_frame(HEADER, 0, json.dumps({"version": VERSION, **fields}).encode())


def definitions_body(definitions: Sequence[tuple[int, str, str]]) -> bytes:
    """Body of a definition frame: which series (signal name, label) the numbers stand for."""
    return json.dumps(definitions, separators=(",", ":")).encode()


def read_definitions(body: bytes) -> dict[int, tuple[str, str]]:
    """The inverse of ``definitions_body``. Raises ``ValueError`` or ``TypeError`` on other content."""
    return {int(number): (str(name), str(label)) for number, name, label in json.loads(body)}


def scan(data: bytes) -> Scan:
    """All intact frames of a segment's bytes, in order of writing.

    Cost: one CRC over the file. Checksums that fail are paid from an allowance in proportion to the
    file's size, so that a file made of sync markers cannot keep the reader busy for long.
    Raises ``DamagedRecording`` where an intact header names a version that this reader does not know.
    """
    found = Scan()
    if not data.startswith(MAGIC):
        found.damage.append("the file does not begin as a segment does")
    position = skipped_from = len(MAGIC) if data.startswith(MAGIC) else 0
    allowance = (64 << 20) + 16 * len(data)
    while position < len(data):
        frame, checked = _frame_at(data, position)
        if frame is not None:
            _note_skipped(found.damage, skipped_from, position)
            _accept(found, frame)
            position = skipped_from = position + FRAME_OVERHEAD + len(frame.stored)
            continue
        allowance -= checked
        following = data.find(SYNC, position + 1)
        if following < 0 or allowance < 0:
            break
        position = following
    _note_skipped(found.damage, skipped_from, len(data))
    if len(found.damage) > _MAX_MESSAGES:
        more = len(found.damage) - _MAX_MESSAGES
        found.damage[_MAX_MESSAGES:] = [f"{more} more places are damaged"]
    return found


def _crc(prefix: bytes, stored: bytes | memoryview) -> int:
    return zlib.crc32(stored, zlib.crc32(prefix[len(SYNC) :]))


def _frame_at(data: bytes, position: int) -> tuple[Frame | None, int]:
    """The frame that begins at ``position`` or ``None``, and how many bytes had to be checked."""
    start = position + FRAME_OVERHEAD
    if start > len(data) or not data.startswith(SYNC, position):
        return None, 0
    prefix = data[position : position + _PREFIX.size]
    _, kind, stored_length, raw_length, sequence = _PREFIX.unpack(prefix)
    if max(stored_length, raw_length) > MAX_BODY or start + stored_length > len(data):
        return None, 0
    stored = memoryview(data)[start : start + stored_length]
    (crc,) = _CRC.unpack_from(data, position + _PREFIX.size)
    if _crc(prefix, stored) != crc:
        return None, stored_length
    return Frame(kind, raw_length, sequence, bytes(stored)), 0


def _accept(found: Scan, frame: Frame) -> None:
    last = found.frames[-1].sequence if found.frames else -1
    if frame.sequence <= last:
        found.damage.append(f"frame {frame.sequence} stands there twice; the copy was left out")
        return
    if frame.sequence > last + 1:
        found.damage.append(f"{frame.sequence - last - 1} frame(s) before frame {frame.sequence} are lost")
    found.frames.append(frame)
    if frame.kind == HEADER:
        _read_header(found, frame)


def _read_header(found: Scan, frame: Frame) -> None:
    try:
        fields = json.loads(frame.body())
        version = int(fields["version"])
    except (ValueError, TypeError, KeyError, RecursionError, zlib.error) as error:
        found.damage.append(f"the header is unreadable: {error}")
        return
    if version != VERSION:
        raise DamagedRecording(
            "this recording was written in a format that this losscope does not know",
            seen=f"segment version {version}, known is {VERSION}",
            remedy="read it with the losscope version named in its run.json",
        )
    found.header.update(fields)


def _note_skipped(damage: list[str], start: int, end: int) -> None:
    if end > start:
        damage.append(f"{end - start} byte(s) at offset {start} are torn or damaged and were skipped")
