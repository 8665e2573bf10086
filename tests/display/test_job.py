from __future__ import annotations

import re
from typing import Any

import pytest

from fractal_jupyter.display.job import job_line, job_page, jobs_page, steps_page
from fractal_jupyter.display.messages import Message, taken_apart
from fractal_jupyter.display.render_html import to_html
from fractal_jupyter.display.render_text import to_text
from tests.display.samples import (
    T0,
    failed_unit,
    make_job,
    make_snapshot,
    make_step,
)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")


def test_steps_say_how_far_they_are() -> None:
    text = to_text(
        job_page(
            make_snapshot(
                [
                    make_step(0, total=200, done=200, status="done", ended=T0 + 26),
                    make_step(1, total=1500, done=750, running=2, started=T0 + 26),
                    make_step(2, task_name="Measure Features"),
                ],
                now=T0 + 126,
            )
        )
    )
    first, second, third = text.split("\n")[2:]
    assert "200 / 200" in first
    assert "done" in first
    assert "25 s" in first
    assert "\u2007\u2007750 / 1,500" in second
    assert "2 running" in second
    assert "about 2 min left" in second
    assert third.endswith("waits")


def test_mode_is_said_in_a_word() -> None:
    html = to_html(
        job_page(make_snapshot([make_step(total=2, done=1, mode="cold: no __main__ guard")]))
    )
    assert "fractal-tasks-core 2.1.0 · cold</small>" in html
    assert 'title="cold: no __main__ guard"' in html


def test_first_errors_are_said_in_words_and_what_to_do() -> None:
    steps = [make_step(total=40, done=20, failed=14, interrupted=1, running=2)]
    bad = [failed_unit(k, f"KeyError: '{k}'") for k in (17, 21, 33, 35)]
    text = to_text(job_page(make_snapshot(steps, bad_units=bad)))
    assert "14 units failed, 1 unit interrupted" in text
    assert "Unit 17 (plate.zarr/B/01/7)  KeyError: '17'" in text
    assert "KeyError: '33'" in text
    assert "KeyError: '35'" not in text
    assert "job.units(status='failed')  shows the 12 others, too" in text
    assert "job.log(unit=17)" in text
    assert "job.retry()" not in text
    over = make_snapshot(steps, bad_units=bad, status="failed", ended=T0 + 5)
    assert "what the 20 others did is kept" in to_text(job_page(over))
    assert "job.retry()" in to_text(job_page(over))


def test_the_step_of_an_error_is_named_where_there_are_several() -> None:
    steps = [make_step(0, total=5, done=5), make_step(1, task_name="Measure", total=5, failed=1)]
    text = to_text(job_page(make_snapshot(steps, bad_units=[failed_unit(7, "no", step=1)])))
    assert "Unit 7 (plate.zarr/B/00/7, Measure)  no" in text


def test_an_error_is_said_once() -> None:
    steps = [make_step(total=3, done=2, failed=1, status="failed")]
    bad = [failed_unit(1, "KeyError: 'DAPI'")]
    error = "Step 0: 1 failed of 3 units. Unit 1 (…): KeyError: 'DAPI'. The other 2 are kept."
    said = make_snapshot(steps, bad_units=bad, status="failed", error=error, ended=T0 + 5)
    assert to_text(job_page(said)).count("DAPI") == 1
    other = make_snapshot(
        steps, bad_units=bad, status="failed", error="Two units changed one image.", ended=T0 + 5
    )
    assert "Two units changed one image." in to_text(job_page(other))


def test_a_job_without_bad_units_says_why_it_failed() -> None:
    snapshot = make_snapshot(
        [make_step(status="failed")], status="failed", error="No image passes.", ended=T0 + 2
    )
    assert "No image passes." in to_text(job_page(snapshot))
    assert "job.retry()" in to_text(job_page(snapshot))
    assert "0 / 0" not in to_text(job_page(snapshot))


def test_a_job_that_waits_says_for_what() -> None:
    waiting = "waits for job 11 (Convert), which works on the dataset 'plate'"
    snapshot = make_snapshot([make_step()], status="submitted", started=None, waiting_for=waiting)
    assert "Waits for job 11 (Convert)" in to_text(job_page(snapshot))


def test_a_job_of_which_nothing_runs_yet_says_why() -> None:
    why = "waiting behind jobs of higher priority (Priority)"
    snapshot = make_snapshot([make_step(total=9)], waiting_for=why)
    shown = to_text(job_page(snapshot))
    assert shown.split("\n")[2].split()[-1] == "waits"
    assert shown.endswith("\n\nWaiting behind jobs of higher priority (Priority).")
    assert why in job_line(snapshot)
    assert "Waiting behind jobs" in to_html(job_page(snapshot))
    assert why in to_html(jobs_page([snapshot.job], {12: snapshot.steps}))
    over = make_snapshot([make_step(total=9)], waiting_for=why, status="cancelled")
    assert "Waiting" not in to_text(job_page(over))


def test_what_a_job_waits_for_may_have_lines() -> None:
    snapshot = make_snapshot([make_step(total=9)], waiting_for="its key is new\n    echo x >> y")
    assert to_text(job_page(snapshot)).endswith("\nIts key is new\n    echo x >> y")
    assert "its key is new echo x >> y" in job_line(snapshot)


def test_silence_of_a_scheduler_is_told_while_units_run() -> None:
    steps = [make_step(total=9, done=2, running=3)]
    shown = to_text(job_page(make_snapshot(steps, waiting_for="SLURM has not answered for 23 s")))
    assert "3 running" in shown.split("\n")[2]
    assert shown.endswith("SLURM has not answered for 23 s.")


CUT_OFF = (
    "The unit was running when its SLURM job 68_0 reached its time limit of 00:01:00 on node1; "
    "raise `time` in the step's meta; retry runs what is missing; its output ends with: "
    "slurmstepd: error: *** JOB 72\nCANCELLED DUE TO TIME LIMIT ***. What it had done until then "
    "is not known."
)
REFUSED = (
    "It never started: SLURM did not accept it: Invalid feature specification; no node of the "
    "partition is like that: look at `constraint`."
)


def test_errors_are_taken_apart() -> None:
    steps = [make_step(total=3, failed=3, status="failed")]
    units = [failed_unit(0, CUT_OFF), failed_unit(1, CUT_OFF), failed_unit(2, REFUSED)]
    lines = to_text(job_page(make_snapshot(steps, bad_units=units))).split("\n")
    assert lines[5:] == [
        "  Unit 0 (plate.zarr/B/00/0)  The unit was running when its SLURM job 68_0 reached its "
        "time limit of 00:01:00 on node1. What it had done",
        "    until then is not known.",
        "    Raise `time` in the step's meta.",
        "      slurmstepd: error: *** JOB 72",
        "      CANCELLED DUE TO TIME LIMIT ***",
        "  Unit 1 (plate.zarr/B/00/1)  The same as unit 0.",
        "  Unit 2 (plate.zarr/B/00/2)  It never started: SLURM did not accept it: Invalid feature "
        "specification.",
        "    No node of the partition is like that: look at `constraint`.",
        "  job.log(unit=0)  shows all that the first of them wrote",
    ]
    html = to_html(job_page(make_snapshot(steps, bad_units=units)))
    assert "CANCELLED DUE TO TIME LIMIT ***</pre>" in html
    assert "is not known.<br>Raise `time`" in html


@pytest.mark.parametrize(
    ("error", "what", "advice", "said"),
    [
        ("ValueError: a; b\nc", "ValueError: a; b c", "", ""),
        ("It never started: no such folder.", "It never started: no such folder.", "", ""),
        (
            "The unit was running when its worker ended. What it had done until then is not known.",
            "The unit was running when its worker ended. What it had done until then is not known.",
            "",
            "",
        ),
        (
            "It never started: its worker ended; its output ends with: a; b.",
            "It never started: its worker ended.",
            "",
            "a; b",
        ),
    ],
)
def test_what_a_message_is_made_of(error: str, what: str, advice: str, said: str) -> None:
    assert taken_apart(error) == Message(what, advice, said)


def test_a_cancelled_job_can_go_on() -> None:
    snapshot = make_snapshot(
        [make_step(total=9, done=3, cancelled=6, status="cancelled")], status="cancelled"
    )
    assert "job.retry()" in to_text(job_page(snapshot))
    assert "6 cancelled" in to_text(job_page(snapshot))
    assert "cancelling" in to_text(job_page(make_snapshot(cancel_requested=True)))


def test_the_first_part_of_a_compound_task_is_not_all() -> None:
    request = {"entry": {"type": "compound"}}
    text = to_text(job_page(make_snapshot([make_step(total=1, done=1, request=request)])))
    assert "finds out what there is to do" in text
    assert "1 / 1" not in text
    second = make_step(total=41, done=11, running=2, request=request, phases_planned=2)
    assert "11 / 41" in to_text(job_page(make_snapshot([second])))


def test_numbers_do_not_move_while_a_job_runs() -> None:
    """Whatever the numbers, the widths of all columns are the same."""

    def frame(done: int, failed: int) -> str:
        html = to_html(
            job_page(make_snapshot([make_step(total=2000, done=done, failed=failed, running=2)]))
        )
        return html[html.index("<colgroup>") : html.index("</colgroup>")]

    assert frame(1, 0) == frame(1800, 120)
    assert sum(float(w) for w in re.findall(r"width:([\d.]+)%", frame(1, 0))) == 100


def test_the_bar_has_a_part_for_each_outcome() -> None:
    html = to_html(job_page(make_snapshot([make_step(total=100, done=50, failed=10, running=4)])))
    widths = [part.split("%")[0] for part in html.split("width:")[1:] if "%;background" in part]
    assert [float(w) for w in widths] == [50, 10, 4]


def test_lists_of_jobs() -> None:
    steps = [make_step(0, total=10, done=10, status="done"), make_step(1, total=10, done=5)]
    jobs = [
        make_job(),
        make_job(id=11, status="failed", error="Step 0: it broke", ended=T0 + 61),
    ]
    text = to_text(jobs_page(jobs, {12: steps, 11: steps}))
    assert "2 jobs" in text
    assert "15 / 20" in text
    assert "1 min" in text
    html = to_html(jobs_page(jobs, {12: steps, 11: steps}))
    assert "step 1: Project Image · 1 of 2 steps done" in html
    assert "Step 0: it broke" in html
    many = to_html(jobs_page([make_job(id=k) for k in range(1000)], {}))
    assert "and 960 older jobs" in many
    assert len(many) < 60_000
    assert "No jobs yet" in to_text(jobs_page([], {}))


def test_steps_by_themselves() -> None:
    steps = [make_step(total=10, done=5, running=1)]
    assert "5 / 10" in to_text(steps_page(steps))
    assert "5 / 10" in to_html(steps_page(steps))


def test_all_runs_of_a_retried_job_count() -> None:
    again: dict[str, Any] = {"started": T0 + 5000, "seconds_before": 100.0}
    steps = [make_step(total=100, done=60, running=1, **again)]
    running = make_snapshot(steps, now=T0 + 5010, **again)
    assert to_text(job_page(running)).splitlines()[0].endswith("1:50")
    over = make_snapshot(steps, status="failed", ended=T0 + 5020, **again)
    assert job_line(over).endswith("took 2 min")
    waits = make_snapshot(steps, status="submitted", started=None, seconds_before=100.0)
    assert to_text(job_page(waits)).splitlines()[0].endswith("1 min 40 s")


def test_a_job_in_a_line() -> None:
    steps = [
        make_step(0, total=9, done=9, status="done"),
        make_step(1, total=9, done=3, failed=1),
        make_step(2),
    ]
    assert job_line(make_snapshot(steps)) == (
        "Job 12 (Project and measure): running; step 1, Project Image: 3 done, 1 failed of 9; "
        "1 of 3 steps done"
    )
