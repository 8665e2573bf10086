"""What nothing uses of environments: what is shown of it, once, and what is removed."""

from __future__ import annotations

from fractal_jupyter import Fractal
from fractal_jupyter.store.task_groups import use
from tests.runner.test_task_groups_cut_off import Make, done, make, queue

__all__ = ["make"]


def run_in(fractal: Fractal, key: int) -> None:
    """Let a task group have been used now."""
    with fractal._store.database.write() as connection:
        use(connection, [key])


def idle(fractal: Fractal) -> list[int | None]:
    """The task groups that could be deactivated."""
    listed = fractal.task_groups.clean(unused_for=0)
    return [each.task_group_id for each in listed if each.kind == "task group"]


def test_of_twins_that_a_workflow_needs_the_one_used_last_stays(
    fractal: Fractal, make: Make
) -> None:
    one, two, three = (make("twin", place=place) for place in ("1.0-a", "1.0-b", "1.0-c"))
    fractal.workflows.create("w", steps=[{"task": "Do it"}])
    run_in(fractal, one.id)
    assert sorted(map(str, idle(fractal))) == [str(two.id), str(three.id)]
    fractal.task_groups.clean(unused_for=0, dry_run=False)
    assert [each.active for each in (one, two, three)] == [True, False, False]


def test_the_twin_that_a_workflow_names_stays(fractal: Fractal, make: Make) -> None:
    one, two = (make("twin", place=place) for place in ("1.0-a", "1.0-b"))
    fractal.workflows.create("w", steps=[{"task": "Do it", "task_group": one.id}])
    run_in(fractal, two.id)
    assert idle(fractal) == [two.id]


def test_what_a_workflow_needs_since_it_was_found_stays(fractal: Fractal, make: Make) -> None:
    groups = [make("twin", place=place) for place in ("1.0-a", "1.0-b")]
    gone = make("other")
    request = {
        "profile": "Local profile",
        "task_groups": [gone.id, *(group.id for group in groups)],
    }
    key = queue(fractal, "clean", request)
    gone.delete()
    fractal.workflows.create("w", steps=[{"task": "Do it"}])
    ended = done(fractal, key)
    assert ended.status == "OK", ended.error
    assert "The task group twin 1.0 is used by the workflow 'w'. It stays." in ended.log
    assert [group.active for group in groups] == [False, True]
