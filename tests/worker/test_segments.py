"""Files that are rolled."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from fractal_jupyter.worker import segments
from fractal_jupyter.worker.records import decode_lines, encode
from fractal_jupyter.worker.segments import Segments

MEGABYTE = bytes(1024 * 1024)


def test_segments_are_rolled_before_they_become_too_large(tmp_path: Path) -> None:
    log = Segments(str(tmp_path), "log")
    places = [log.append(MEGABYTE) for _ in range(9)]
    assert places == [(number // 4, number % 4 * len(MEGABYTE)) for number in range(9)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log-0000", "log-0001", "log-0002"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    log.close()


def test_one_piece_is_never_split(tmp_path: Path) -> None:
    log = Segments(str(tmp_path), "log")
    log.append(b"small")
    assert log.append(MEGABYTE * 6) == (1, 0)
    assert log.append(b"small") == (2, 0)
    assert (tmp_path / "log-0001").stat().st_size == 6 * len(MEGABYTE)
    log.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left_by_rolling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 10)
    log = Segments(str(tmp_path), "log")
    before = open_files()
    for _ in range(50):
        log.append(b"0123456789")
    assert open_files() == before
    log.close()
    assert open_files() == before - 1


def test_what_follows_a_full_disk_can_be_read(tmp_path: Path) -> None:
    results = Segments(str(tmp_path), "results")
    results.append(encode({"event": "first"}))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (results.size + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            results.append(encode({"event": "lost"}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    results.append(encode({"event": "next"}))
    results.close()
    found, _ = decode_lines((tmp_path / "results-0000").read_bytes())
    assert [record["event"] for record in found] == ["first", "damaged", "next"]
