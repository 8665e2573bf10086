"""Hostile names and texts in everything that is shown, in notebooks and in terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell

from fractal_jupyter import Fractal
from tests.hostile import LINE, TEXT, foreign, make_hostile, unseen
from tests.toy import toy_fractal

Shown = Callable[[Fractal], Any]

SHOWN: dict[str, Shown] = {
    "fractal": lambda fractal: fractal,
    "resources": lambda fractal: fractal.resources.list(),
    "resource": lambda fractal: fractal.resources.get(LINE),
    "profiles": lambda fractal: fractal.profiles.list(),
    "profile": lambda fractal: fractal.profiles.get(LINE),
    "check": lambda fractal: fractal.profiles.check(LINE),
    "tasks": lambda fractal: fractal.tasks.list(),
    "task": lambda fractal: fractal.tasks.get(LINE),
    "task groups": lambda fractal: fractal.task_groups.list(),
    "task group": lambda fractal: fractal.task_groups.get(LINE),
    "datasets": lambda fractal: fractal.datasets.list(),
    "dataset": lambda fractal: fractal.datasets.get(TEXT),
    "images": lambda fractal: fractal.datasets.get(TEXT).images,
    "workflows": lambda fractal: fractal.workflows.list(),
    "workflow": lambda fractal: fractal.workflows.get(LINE),
    "plan": lambda fractal: fractal.plan(fractal.workflows.get(LINE), TEXT),
    "jobs": lambda fractal: fractal.jobs.list(),
    "job": lambda fractal: fractal.jobs.list()[0],
    "units": lambda fractal: fractal.jobs.list()[0].units(),
    "log": lambda fractal: fractal.jobs.list()[0].log(),
    "environment": lambda fractal: fractal.jobs.list()[0].environment(),
    "activities": lambda fractal: fractal.activities.list(),
    "form": lambda fractal: fractal.form(LINE, TEXT, args={"say": TEXT}),
    "resource editor": lambda fractal: fractal.resources.editor(LINE),
    "profile editor": lambda fractal: fractal.profiles.editor(LINE),
    "browser": lambda fractal: fractal.datasets.get(TEXT).browser(),
    "monitor": lambda fractal: fractal.jobs.list()[0].monitor(),
}


@pytest.fixture(scope="module")
def fractal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fractal]:
    folder = tmp_path_factory.mktemp("hostile")
    with toy_fractal(folder) as fractal:
        make_hostile(fractal, folder / "tasks")
        yield fractal


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown_is_text(name: str, fractal: Fractal) -> None:
    shown = SHOWN[name](fractal)
    formatter: Any = DisplayFormatter()
    formatter.ipython_display_formatter.enabled = False
    bundle, _ = formatter.format(shown)
    assert unseen(bundle["text/plain"]) == []
    assert unseen(repr(shown)) == []
    if name != "log":
        assert foreign(bundle["text/html"]) == []


@pytest.fixture(params=["a script", "IPython"])
def surroundings(request: pytest.FixtureRequest) -> Iterator[None]:
    """With and without a shell that knows which output belongs to which cell."""
    if request.param == "IPython":
        InteractiveShell.instance()
    yield
    InteractiveShell.clear_instance()


@pytest.mark.usefixtures("surroundings")
def test_what_is_printed_meanwhile_is_text(
    fractal: Fractal, capsys: pytest.CaptureFixture[str]
) -> None:
    job = fractal.jobs.list()[0]
    job.show()
    assert job.retry().wait(60).status == "failed"
    job.show()
    assert unseen(capsys.readouterr().out) == []
