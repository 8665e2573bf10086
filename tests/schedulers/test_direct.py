import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter.errors import SchedulerError
from fractal_jupyter.schedulers.base import BatchState, Handle, Submission
from fractal_jupyter.schedulers.direct import DirectScheduler
from fractal_jupyter.schedulers.processes import alive
from tests.toy import wait_until
from tests.worker.batches import batch_document


@pytest.fixture
def phase(tmp_path: Path) -> Path:
    folder = tmp_path / "phase"
    folder.mkdir()
    return folder


def direct(tmp_path: Path, python: str = sys.executable) -> DirectScheduler:
    return DirectScheduler(python=python, workers_dir=f"{tmp_path}/workers")


def sleeping(folder: Path, *numbers: int) -> Submission:
    """Batches of one unit that sleeps."""
    script = folder.parent / "sleep.py"
    script.write_text("import time\ntime.sleep(1000)\n")
    document: Mapping[str, Any] = batch_document([sys.executable, str(script)], 1, warm=False)
    return Submission(
        name="sleepers", folder=str(folder), batches=dict.fromkeys(numbers or (0,), document)
    )


def found(scheduler: DirectScheduler, folder: Path, *numbers: int) -> dict[int, Handle]:
    return scheduler.find("sleepers", str(folder), dict.fromkeys(numbers or (0,)), intended=True)


def has_ended(scheduler: DirectScheduler, handle: Handle) -> bool:
    return scheduler.poll([handle])[0].state is BatchState.ENDED


def test_a_worker_is_watched_and_cancelled(tmp_path: Path, phase: Path) -> None:
    scheduler = direct(tmp_path)
    handle = scheduler.submit(sleeping(phase))[0]
    assert [status.state for status in scheduler.poll([handle])] == [BatchState.RUNNING]
    wait_until(lambda: (phase / "batch-0000" / "attempt-1" / "heartbeat").exists())
    scheduler.cancel([handle])
    wait_until(lambda: has_ended(scheduler, handle))
    assert scheduler.poll([handle])[0].reason == "its worker ended with exit status 143"


def test_a_worker_that_does_not_listen_is_ended_all_the_same(tmp_path: Path, phase: Path) -> None:
    scheduler = direct(tmp_path)
    handle = scheduler.submit(sleeping(phase))[0]
    os.kill(handle["pid"], signal.SIGSTOP)
    scheduler.cancel([handle], at_once=True)
    wait_until(lambda: has_ended(scheduler, handle))
    assert scheduler.poll([handle])[0].reason == "its worker was killed by SIGKILL (9)"


def test_a_worker_is_found_by_its_command_and_by_nothing_less(tmp_path: Path, phase: Path) -> None:
    first, second = direct(tmp_path), direct(tmp_path)
    assert found(second, phase) == {}
    handle = first.submit(sleeping(phase))[0]
    assert found(second, phase, 0, 1) == {0: handle}
    assert found(second, tmp_path) == {}
    # Whoever did not start it watches and ends it as well.
    assert second.poll([handle])[0].state is BatchState.RUNNING
    second.cancel([handle], at_once=True)
    wait_until(lambda: not alive(dict(handle)))
    assert found(second, phase) == {}
    assert has_ended(second, handle)
    assert has_ended(first, handle)


def test_all_are_started_or_none(tmp_path: Path, phase: Path) -> None:
    scheduler = direct(tmp_path)
    (phase / "batch-0001" / "worker.log").mkdir(parents=True)
    with pytest.raises(SchedulerError, match=r"batch-0001/worker\.log: Is a directory"):
        scheduler.submit(sleeping(phase, 0, 1))
    assert found(scheduler, phase, 0, 1) == {}


def test_an_interpreter_that_is_missing_is_named(tmp_path: Path, phase: Path) -> None:
    scheduler = direct(tmp_path, python="/no/such/python")
    with pytest.raises(SchedulerError, match="/no/such/python: No such file"):
        scheduler.submit(sleeping(phase))


def test_nothing_is_known_of_the_processes_of_another_machine(tmp_path: Path, phase: Path) -> None:
    scheduler = direct(tmp_path)
    handle = scheduler.submit(sleeping(phase))[0]
    other = {**handle, "host": "elsewhere", "boot": "another"}
    (status,) = scheduler.poll([other])
    assert status.state is BatchState.OUT_OF_SIGHT
    assert "elsewhere" in (status.reason or "")
    scheduler.cancel([other])
    assert scheduler.poll([handle])[0].state is BatchState.RUNNING
    scheduler.cancel([handle], at_once=True)
    wait_until(lambda: has_ended(scheduler, handle))
