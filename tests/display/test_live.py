"""Live displays in a real kernel; those in terminals are in `test_canvas`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fractal_jupyter.display.live import LiveJob, WaitInterrupted, wait_with_display
from fractal_jupyter.display.snapshot import JobSnapshot
from tests.display.kernels import Kernel, display_id, html_of, of_kind, running_kernel, text_of
from tests.display.played import PlayedJob, at_once
from tests.display.samples import make_step

SETUP = """\
import threading
from fractal_jupyter.display.live import LiveJob, wait_with_display
from tests.display.played import PlayedJob, at_once
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with running_kernel() as kernel:
        kernel.run(SETUP)
        yield kernel


def test_waiting_shows_one_output_that_ends_as_a_summary(kernel: Kernel) -> None:
    messages = kernel.run("wait_with_display(PlayedJob(40, key=1), at_once, None)", cell="a")
    (shown,) = of_kind(messages, "display_data")
    updates = of_kind(messages, "update_display_data")
    assert {display_id(update) for update in updates} == {display_id(shown)}
    assert "running" in html_of(shown)
    # 40 looks take two seconds or more; at most two pictures a second, and the last one.
    seconds = (updates[-1]["header"]["date"] - shown["header"]["date"]).total_seconds()
    assert len(updates) <= 2.3 * seconds + 2
    last = updates[-1]
    assert "40 / 40" in html_of(last)
    assert "40 / 40" in text_of(last)
    assert "running" not in text_of(last)
    assert not of_kind(messages, "stream")
    assert [text_of(m) for m in of_kind(messages, "execute_result")] == ["True"]


def test_a_shown_job_moves_on_while_other_cells_run(kernel: Kernel) -> None:
    kernel.run("job = PlayedJob(6, key=2); job.held = True")
    messages = kernel.run("LiveJob(job).show()")
    (shown,) = of_kind(messages, "display_data")
    key = kernel.send(
        "job.held = False\n"
        "while 'fractal-live-display' in {t.name for t in threading.enumerate()}:\n"
        "    threading.Event().wait(0.05)"
    )
    updates = of_kind(kernel.outputs(key), "update_display_data")
    assert {display_id(update) for update in updates} == {display_id(shown)}
    assert "6 / 6" in html_of(updates[-1])
    # An execution of a notebook listens to the current cell only.
    assert updates[-1]["parent_header"]["msg_id"] == key


def test_a_cell_has_one_picture_of_a_job(kernel: Kernel) -> None:
    messages = kernel.run(
        "job = PlayedJob(5, key=3); LiveJob(job).show()\n"
        "wait_with_display(job, at_once, None); LiveJob(job).show()"
    )
    assert len(of_kind(messages, "display_data")) == 1
    assert "5 / 5" in html_of(of_kind(messages, "update_display_data")[-1])


def test_a_picture_that_lives_in_another_cell_is_enough(kernel: Kernel) -> None:
    kernel.run("job = PlayedJob(5, key=4); job.held = True; LiveJob(job).show()", cell="first")
    messages = kernel.run("wait_with_display(job, at_once, 0.2)", cell="second")
    assert not of_kind(messages, "display_data")
    # The first cell is executed again, which clears its output.
    messages = kernel.run("wait_with_display(job, at_once, 0.2)", cell="first")
    assert len(of_kind(messages, "display_data")) == 1
    messages = kernel.run("job.held = False; wait_with_display(job, at_once, None)", cell="second")
    assert not of_kind(messages, "display_data")
    assert "5 / 5" in html_of(of_kind(messages, "update_display_data")[-1])


def test_a_job_that_is_over_is_shown_where_it_is_asked_for(kernel: Kernel) -> None:
    kernel.run("job = PlayedJob(2, key=5); wait_with_display(job, at_once, None)", cell="a")
    messages = kernel.run("LiveJob(job).show()", cell="b")
    (shown,) = of_kind(messages, "display_data")
    assert "2 / 2" in html_of(shown)


def test_interrupting_stops_the_waiting_only(kernel: Kernel) -> None:
    kernel.run("job = PlayedJob(5, key=6); job.held = True")
    key = kernel.send("wait_with_display(job, at_once, None)")
    kernel.until("Played")
    kernel.manager.interrupt_kernel()
    messages = kernel.outputs(key)
    (error,) = of_kind(messages, "error")
    assert error["content"]["ename"] == "WaitInterrupted"
    assert error["content"]["traceback"] == [error["content"]["evalue"]]
    assert "job 6, which goes on" in error["content"]["evalue"]
    assert kernel.reply(key)["status"] == "error"
    kernel.run("job.held = False")
    assert "5 / 5" in html_of(kernel.until("5 / 5")[-1])


def test_time_runs_out(kernel: Kernel) -> None:
    messages = kernel.run(
        "job = PlayedJob(2, key=7); job.held = True\nwait_with_display(job, at_once, 0.1)"
    )
    assert [text_of(m) for m in of_kind(messages, "execute_result")] == ["False"]
    kernel.run("job.held = False; wait_with_display(job, at_once, None)")


def test_captured_output_does_not_grow(kernel: Kernel) -> None:
    kernel.run("%%capture held\nover = wait_with_display(PlayedJob(40, key=8), at_once, None)")
    messages = kernel.run("len(held.outputs)")
    assert [text_of(m) for m in of_kind(messages, "execute_result")] == ["2"]


def test_trouble_with_the_display_is_no_trouble_for_who_waits(kernel: Kernel) -> None:
    messages = kernel.run(
        "from fractal_jupyter.display import canvas\n"
        "kept, canvas.to_html = canvas.to_html, None\n"
        "over = wait_with_display(PlayedJob(3, key=9), at_once, None)\n"
        "canvas.to_html = kept; over"
    )
    assert [text_of(m) for m in of_kind(messages, "execute_result")] == ["True"]
    assert not of_kind(messages, "display_data")


def test_progress_is_one_output(kernel: Kernel) -> None:
    messages = kernel.run(
        "from fractal_jupyter.display.progress import Progress\n"
        "with Progress('Collecting x') as progress:\n"
        "    log = lambda k: threading.Thread(target=progress.log, args=(f'line {k}',))\n"
        "    threads = [log(k) for k in range(9)]\n"
        "    for thread in threads: thread.start()\n"
        "    for thread in threads: thread.join()\n"
        "    progress.done('x 1.0: 3 tasks')"
    )
    (shown,) = of_kind(messages, "display_data")
    last = of_kind(messages, "update_display_data")[-1]
    assert display_id(last) == display_id(shown)
    assert "x 1.0: 3 tasks" in html_of(last)
    assert "Log (9 lines)" in html_of(last)


def test_errors_of_looking_reach_who_waits() -> None:
    job = PlayedJob(5)
    looks = iter([job(), job()])
    with pytest.raises(StopIteration):
        wait_with_display(lambda: next(looks), at_once, None)


def test_records_that_cannot_be_shown_are_waited_for() -> None:
    job = PlayedJob(3)

    def odd() -> JobSnapshot:
        return replace(job(), steps=(make_step(total=3, request=None),))

    assert wait_with_display(odd, at_once, None)
    LiveJob(odd).show()


def test_an_interrupt_is_an_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(WaitInterrupted, match=r"job 12, which goes on.*job.cancel\(\)"):
        wait_with_display(PlayedJob(5), interrupted, None)
    assert "Played" in capsys.readouterr().out
