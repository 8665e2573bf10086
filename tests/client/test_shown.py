"""What terminals show of single things: all of it by itself, one line within other things."""

from pathlib import Path

import pytest
from IPython.lib import pretty as ipython

from fractal_jupyter import Fractal
from fractal_jupyter.client.environments import JobEnvironment
from fractal_jupyter.display.progress import Progress
from fractal_jupyter.environments.lock import Distribution, Lock
from tests.toy import make_dataset


def pretty(thing: object) -> str:
    return str(ipython.pretty(thing))  # type: ignore[no-untyped-call]


def test_single_things_are_shown_in_full(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 2)
    workflow = fractal.workflows.create("w", steps=[{"task": "Toy Parallel"}])
    words = {
        fractal.tasks.get("Toy Parallel"): "behaviour",
        fractal.task_groups.get("toy-tasks"): "Toy Copy",
        fractal.resources.get("Local resource"): "jobs_local_dir",
        fractal.profiles.get("Local profile"): "Local resource",
        workflow: "Toy Parallel",
        dataset: "plate-1.zarr",
    }
    for thing, word in words.items():
        assert word in pretty(thing)
        assert "\n" in pretty(thing)
        assert pretty([thing]) == f"[{thing!r}]"
        assert "\n" not in repr(thing)


def test_units_and_steps_are_one_line(fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 2)
    args = {"behaviour": "raise", "only": "-1.zarr"}
    job = fractal.submit("Toy Parallel", dataset, args=args).wait(60)
    assert [repr(unit) for unit in list(job.units())] == [
        f"<Unit 0 of job {job.id}, /data/plate-0.zarr, done>",
        f"<Unit 1 of job {job.id}, /data/plate-1.zarr, failed: ValueError: the toy is broken>",
    ]
    step = f"<Step 0 of job {job.id}: Toy Parallel, failed, 1 of 2 units done>"
    assert repr(job.steps[0]) == step
    activity = fractal._store.activities.begin(action="collect", subject="my-tasks==1.0")
    assert repr(activity) == f"<Activity {activity.id}: collect my-tasks==1.0, ongoing>"


def test_a_plan_of_very_many_images_is_a_few_lines(fractal: Fractal) -> None:
    plan = fractal.plan("Toy Parallel", make_dataset(fractal, 2_000))
    assert repr(plan).startswith("Plan: Toy Parallel")
    assert "2,000 images" in repr(plan)
    step = plan.steps[0]
    assert repr(step) == "<Planned step 0: Toy Parallel of toy-tasks 1.0, 2,000 images>"
    assert repr(step.phases[0]) == "<Planned phase parallel, 2,000 units>"


def test_locks_are_shown_without_their_hashes(fractal: Fractal) -> None:
    lock = Lock(
        python="3.11.7",
        platform="linux-x86_64",
        distributions=tuple(
            Distribution(f"package-{k}", "1.0", hashes=("sha256:" + "a" * 64,) * 50)
            for k in range(1_000)
        ),
    )
    environment = JobEnvironment("toy-tasks", "1.0", "pypi", lock, {"commit": "c0ffee"})
    line = f"<Lock of 1,000 packages, Python 3.11.7 on linux-x86_64, digest {lock.digest[:12]}…>"
    assert repr(lock) == line
    assert repr(environment) == f"<Environment of toy-tasks 1.0, from pypi: {line}>"
    html = environment._repr_html_()
    assert "package-7" in html
    assert "commit c0ffee" in html
    assert "sha256" not in html
    assert len(html) < 200_000
    job = fractal.submit("Toy Parallel", make_dataset(fractal, 1)).wait(60)
    assert repr(job.environment()).startswith("<Environment of toy-tasks 1.0")
    assert "1,000" not in repr(job.environment())
    assert "\n" not in repr(job.environment())
    job.environment()._repr_html_()


def test_a_scan_that_finds_nothing_says_so(fractal: Fractal, tmp_path: Path) -> None:
    dataset = fractal.datasets.create("d", zarr_dir=tmp_path)
    assert "No images found." in repr(dataset.scan())
    assert "0 new images" in repr(dataset.scan())
    metadata = '{"multiscales": [{"version": "0.4", "datasets": [{"path": "0"}]}]}'
    image = tmp_path / "a.zarr"
    (image / "0").mkdir(parents=True)
    (image / ".zgroup").write_text('{"zarr_format": 2}')
    (image / ".zattrs").write_text(metadata)
    (image / "0" / ".zarray").write_text('{"zarr_format": 2, "shape": [1, 1, 1, 5, 5]}')
    assert "1 new image\n" in repr(dataset.scan())
    assert "Nothing new: the list has the 1 image found." in repr(dataset.scan())


def test_a_scan_tells_how_far_it_is(
    fractal: Fractal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Progress, "log", lambda _self, text: said.append(text))
    monkeypatch.setattr("fractal_jupyter.display.progress.DRAW_SECONDS", 0.0)
    for name in "abc":
        (tmp_path / "data" / name).mkdir(parents=True)
    fractal.datasets.create("d", zarr_dir=tmp_path / "data").scan()
    assert said[0] == "1 folder, 0 images so far"
    assert said[-1] == "4 folders, 0 images so far"


def test_a_job_at_the_end_of_a_cell_is_not_an_empty_line(
    fractal: Fractal, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a terminal; what follows `Out[3]:`, which IPython has written by then."""
    make_dataset(fractal, 1)
    job = fractal.submit("Toy Parallel", "plate").wait(60)
    capsys.readouterr()
    job._ipython_display_()
    assert capsys.readouterr().out.startswith(f"Job {job.id}")
