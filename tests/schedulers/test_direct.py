import os
import signal
from pathlib import Path

import pytest

from fractal_jupyter.errors import SchedulerError
from fractal_jupyter.schedulers.base import BatchState, Submission
from fractal_jupyter.schedulers.direct import DirectScheduler
from fractal_jupyter.schedulers.processes import alive
from tests.toy import wait_until


def submission(folder: Path, *argv: str) -> Submission:
    return Submission(name="batch", folder=str(folder), argv=argv)


def test_a_process_is_watched_and_cancelled(tmp_path: Path) -> None:
    scheduler = DirectScheduler()
    (handle,) = scheduler.submit([submission(tmp_path, "/bin/sleep", "1000.25")])
    assert [status.state for status in scheduler.poll([handle])] == [BatchState.RUNNING]
    scheduler.cancel([handle])
    wait_until(lambda: scheduler.poll([handle])[0].state is BatchState.ENDED)
    assert scheduler.poll([handle])[0].reason == "its worker was killed by SIGTERM (15)"


def test_a_process_that_does_not_listen_is_ended_all_the_same(tmp_path: Path) -> None:
    scheduler = DirectScheduler()
    (handle,) = scheduler.submit([submission(tmp_path, "/bin/sleep", "1000.5")])
    os.kill(handle["pid"], signal.SIGSTOP)
    scheduler.cancel([handle], at_once=True)
    wait_until(lambda: scheduler.poll([handle])[0].state is BatchState.ENDED)


def test_a_process_is_found_by_its_command_and_by_nothing_less(tmp_path: Path) -> None:
    ours = submission(tmp_path, "/bin/sleep", "1000.75")
    first, second = DirectScheduler(), DirectScheduler()
    assert second.find(ours) is None
    (handle,) = first.submit([ours])
    assert second.find(ours) == handle
    assert second.find(submission(tmp_path, "/bin/sleep", "1000.7")) is None
    # Whoever did not start it watches and ends it as well.
    assert second.poll([handle])[0].state is BatchState.RUNNING
    second.cancel([handle], at_once=True)
    wait_until(lambda: not alive(dict(handle)))
    assert second.find(ours) is None
    assert second.poll([handle])[0].state is BatchState.ENDED
    assert first.poll([handle])[0].state is BatchState.ENDED


def test_all_are_started_or_none(tmp_path: Path) -> None:
    scheduler = DirectScheduler()
    good = submission(tmp_path, "/bin/sleep", "1001.25")
    bad = submission(tmp_path / "missing", "/bin/sleep", "1001.5")
    with pytest.raises(SchedulerError, match=r"missing/worker\.log: No such file or directory"):
        scheduler.submit([good, bad])
    wait_until(lambda: scheduler.find(good) is None)


def test_nothing_is_known_of_the_processes_of_another_machine(tmp_path: Path) -> None:
    scheduler = DirectScheduler()
    (handle,) = scheduler.submit([submission(tmp_path, "/bin/sleep", "1001.75")])
    other = {**handle, "host": "elsewhere", "boot": "another"}
    (status,) = scheduler.poll([other])
    assert status.state is BatchState.UNKNOWN
    assert "elsewhere" in (status.reason or "")
    scheduler.cancel([other])
    assert scheduler.poll([handle])[0].state is BatchState.RUNNING
    scheduler.cancel([handle], at_once=True)
    wait_until(lambda: scheduler.poll([handle])[0].state is BatchState.ENDED)
