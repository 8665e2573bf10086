r"""The lines that a worker writes and others read: a checksum and a JSON object each.

A line is `<CRC-32 of the JSON, 8 hexadecimal digits> <JSON in ASCII>\n`. Whoever reads while it
is written sees whole lines only: an incomplete or damaged end is left for the next reading. Damage
in the middle (a disk that was full, a file system that lost a page) is reported as a record with
the event `damaged`, and whatever can be read after it is read.
"""

from __future__ import annotations

import json
import re
from binascii import crc32
from typing import Any, Dict, List, Optional, Tuple

Record = Dict[str, Any]

_CHECKSUM_LENGTH = 9  # eight digits and a space
_BEGINNING = re.compile(rb"[0-9a-f]{8} \{")


def encode(record: Record) -> bytes:
    """Return the line of a record."""
    return frame(json.dumps(record, separators=(",", ":")).encode("ascii"))


def frame(body: bytes) -> bytes:
    """Return the line whose JSON is already there: `body` has no line break in it."""
    return b"%08x %b\n" % (crc32(body), body)


def decode_lines(data: bytes) -> Tuple[List[Record], int]:
    r"""Decode the complete lines at the beginning of `data`.

    Args:
        data: Bytes of a results file from the beginning of a line on. A line has no upper limit:
            it holds the whole output of a unit.

    Returns:
        The records, and how many bytes they took; reading goes on from there. Damage is a record
        `{"event": "damaged", "offset": …, "length": …, "reason": …}` (offset from the beginning of
        `data`), reported once something readable follows it.
    """
    records: List[Record] = []
    damaged: List[Record] = []
    consumed = position = 0
    while True:
        end = data.find(b"\n", position)
        if end < 0:
            return records, consumed
        if end > position:
            start, record = _decode(data[position:end])
            if start:
                damaged.append(_damage(position, start))
            if record is not None:
                records += damaged
                records.append(record)
                damaged = []
                consumed = end + 1
        position = end + 1


def _damage(offset: int, length: int) -> Record:
    reason = "the checksum of the line is wrong"
    return {"event": "damaged", "offset": offset, "length": length, "reason": reason}


def _decode(line: bytes) -> Tuple[int, Optional[Record]]:
    """Return how many bytes at the beginning are damaged, and the record that follows them.

    A line that was cut short has the next one glued to its end.
    """
    record = _checked(line)
    if record is not None:
        return 0, record
    for match in _BEGINNING.finditer(line, 1):
        record = _checked(line[match.start() :])
        if record is not None:
            return match.start(), record
    return len(line), None


def _checked(line: bytes) -> Optional[Record]:
    body = line[_CHECKSUM_LENGTH:]
    if line[:_CHECKSUM_LENGTH] != b"%08x " % crc32(body):
        return None
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
