"""Recording, and telling that there is something new."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter.worker.journal import Journal
from fractal_jupyter.worker.records import decode_lines
from tests.worker.batches import wait_until


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server,
    ):
        server.bind(f"{folder}/socket")
        server.setblocking(False)
        yield server


def heard(listener: socket.socket) -> int:
    count = 0
    try:
        while listener.recv(10) == b".":
            count += 1
    except BlockingIOError:
        return count
    raise AssertionError


def events(folder: Path) -> list[str]:
    return [record["event"] for record in decode_lines((folder / "results-0000").read_bytes())[0]]


def test_records_are_there_at_once(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), notify=None)
    journal.record(event="first", value="ö")
    assert events(tmp_path) == ["first"]
    journal.record(event="second")
    assert events(tmp_path) == ["first", "second"]
    journal.close()


def test_there_is_nothing_to_do_without_records(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), notify=None)
    assert journal.wake == float("inf")
    journal.record(event="first")
    assert journal.wake <= time.monotonic()
    journal.tick(time.monotonic())
    assert journal.wake == float("inf")
    journal.close()


def test_readers_are_told_soon_but_not_all_the_time(
    tmp_path: Path, listener: socket.socket
) -> None:
    journal = Journal(str(tmp_path), notify=listener.getsockname())
    start = time.monotonic()
    told = 0
    while time.monotonic() < start + 0.5:
        journal.record(event="another")
        if time.monotonic() >= journal.wake:
            journal.tick(time.monotonic())
        told += heard(listener)
    assert 2 <= told <= 1 + (time.monotonic() - start) / 0.05
    journal.record(event="last")
    journal.close()
    assert heard(listener) == 1


def test_a_reader_that_does_not_read_disturbs_nobody(
    tmp_path: Path, listener: socket.socket
) -> None:
    journal = Journal(str(tmp_path), notify=listener.getsockname())
    for _ in range(2000):
        journal.record(event="another")
        journal.tick(time.monotonic() + 1000)
    journal.close()
    assert len(events(tmp_path)) == 2000


def test_flushing_happens_beside_and_at_most_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[float] = []
    monkeypatch.setattr(
        "fractal_jupyter.worker.journal._flush", lambda fd: flushed.append(time.monotonic())
    )
    journal = Journal(str(tmp_path), notify=None)
    now = time.monotonic()
    for step in range(40):
        journal.record(event="another")
        journal.tick(now + step / 10)
        wait_until(lambda: not journal._syncing.locked(), "the flush")
    assert 3 <= len(flushed) <= 5
    journal.close()
