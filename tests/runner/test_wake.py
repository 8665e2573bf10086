import tempfile
import threading
import time
from pathlib import Path

import pytest

from fractal_jupyter.runner import wake
from fractal_jupyter.runner.wake import JOBS, Alarm, ring


def test_an_alarm_wakes_whoever_waits() -> None:
    alarm = Alarm()
    timer = threading.Timer(0.1, lambda: ring(alarm.address))
    timer.start()
    begun = time.monotonic()
    assert alarm.wait(20) == {JOBS}
    assert time.monotonic() - begun < 10
    assert not alarm.wait(0)
    alarm.close()
    assert not ring(alarm.address)


def test_many_rings_are_one() -> None:
    alarm = Alarm()
    for _ in range(10_000):
        assert ring(alarm.address)
    assert alarm.wait(0)
    assert not alarm.wait(0)
    alarm.close()


def test_nobody_listens_at_no_address() -> None:
    assert not ring(None)
    assert not ring("/nowhere/alarm")


def test_a_long_path_of_temporary_files_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    alarm = Alarm()
    assert ring(alarm.address)
    assert alarm.wait(0)
    alarm.close()
    assert not list(folder.iterdir())


def test_without_a_place_for_a_socket_time_passes_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    monkeypatch.setattr(wake, "_SHORT_PLACE", "/nowhere/either")
    alarm = Alarm()
    assert alarm.address is None
    alarm.wake_on_signals()
    alarm.ring()
    assert not alarm.wait(0.01)
    alarm.close()
