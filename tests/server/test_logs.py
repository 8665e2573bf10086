"""Logs in parts, and what is no log."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.client.jobs import Job
from tests.server.conftest import Call
from tests.toy import make_dataset, wait_until

SECRET = "nobody's business"


@pytest.fixture
def job(fractal: Fractal) -> Job:
    """A job with one unit that is over."""
    return fractal.submit("Toy Parallel", make_dataset(fractal, 1, name="plåté")).wait(60)


def log_file(fractal: Fractal, job: Job) -> Path:
    unit = fractal._store.jobs.unit(job.id, 0)
    assert unit.log is not None
    assert unit.batch_id is not None
    folder = PurePosixPath(fractal._store.jobs.batch(unit.batch_id).folder)
    return Path(folder / f"attempt-{unit.log['attempt']}" / f"log-{unit.log['segment']:04d}")


async def test_parts_are_whole_characters_and_make_up_the_log(job: Job, call: Call) -> None:
    whole, offset, complete = "", 0, "false"
    while complete == "false":
        part = await call("GET", f"jobs/{job.id}/units/0/log", offset=offset, limit=5)
        whole += part.body.decode()
        assert int(part.headers["Fractal-Log-Offset"]) == offset
        offset = int(part.headers["Fractal-Log-Next"])
        complete = part.headers["Fractal-Log-Complete"]
    assert whole == job.log(0)
    assert "å" in whole
    assert offset == int(part.headers["Fractal-Log-Size"]) == len(whole.encode())
    for limit in range(4, 20):
        tail = await call("GET", f"jobs/{job.id}/units/0/log", tail="true", limit=limit)
        assert whole.endswith(tail.body.decode())
        assert "\ufffd" not in tail.body.decode()


async def test_the_log_of_a_running_unit_grows(
    fractal: Fractal, call: Call, tmp_path: Path
) -> None:
    args = {"gate": str(tmp_path / "gate")}
    job = fractal.submit("Toy Parallel", make_dataset(fractal, 1), args=args)
    wait_until(lambda: list(tmp_path.glob("gate.*.waiting")))
    wait_until(lambda: job.units(status="running"))
    running = await call("GET", f"jobs/{job.id}/units/0/log")
    assert running.headers["Fractal-Log-Complete"] == "false"
    (tmp_path / "gate").touch()
    job.wait(60)
    done = await call("GET", f"jobs/{job.id}/units/0/log")
    assert done.headers["Fractal-Log-Complete"] == "true"
    assert done.body.startswith(running.body)


@pytest.mark.parametrize("kind", ["link", "hard link", "folder"])
async def test_no_link_leads_out_of_the_folders_of_jobs(
    fractal: Fractal, job: Job, call: Call, tmp_path: Path, kind: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = log_file(fractal, job)
    secret = elsewhere / path.name
    secret.write_text(SECRET)
    if kind == "link":
        path.unlink()
        path.symlink_to(secret)
    elif kind == "hard link":
        path.unlink()
        path.hardlink_to(secret)
    else:
        path.parent.rename(path.parent.with_name("moved"))
        path.parent.symlink_to(elsewhere)
    answer = await call("GET", f"jobs/{job.id}/units/0/log")
    assert answer.code == 409
    assert SECRET.encode() not in answer.body


async def test_output_is_text(fractal: Fractal, call: Call) -> None:
    job = fractal.submit("Toy Copy", make_dataset(fractal, 1)).wait(60)
    answer = await call("GET", f"jobs/{job.id}/units/0/output")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert b"image_list_updates" in answer.body
