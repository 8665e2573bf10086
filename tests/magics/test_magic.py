"""The verbs, in a real IPython shell with a real store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from fractal_jupyter import Fractal
from fractal_jupyter.display.log import LogText
from fractal_jupyter.engine.arguments import route_arguments, validate_arguments
from fractal_jupyter.magics.parsers import VERBS, overview, parser_of
from fractal_jupyter.magics.verbs import RUN
from fractal_jupyter.magics.words import assignment, split, value_of
from tests.client.test_updating import IMPORT, add_core
from tests.engine.test_arguments import core_tasks
from tests.environments.conftest import index
from tests.environments.packages import PackageIndex, make_task_wheel
from tests.toy import add_toy_tasks, make_dataset

__all__ = ["index"]


def run(shell: InteractiveShell, line: str) -> Any:
    return shell.run_line_magic("fractal", line)


def run_cell(shell: Any, code: str) -> Any:
    """Run code as a cell; returns what IPython says of it."""
    return shell.run_cell(code)


def run_with_body(shell: Any, line: str, body: str) -> Any:
    return shell.run_cell_magic("fractal", line, body)


def test_every_verb_does_something() -> None:
    assert set(VERBS) == set(RUN)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert run(shell, f"{verb} --help") is None
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: %fractal {verb}")
    assert str(parser_of(verb).description) in shown


@pytest.mark.parametrize("text", [parser_of("submit").epilog, parser_of("plan").epilog, overview()])
def test_the_examples_in_help_could_be_run(text: str) -> None:
    tasks = core_tasks("2.1.0")
    lines = [line.partition("%fractal ")[2] for line in text.splitlines()]
    examples = [split(line)[1:] for line in lines if line.startswith(("submit", "plan"))]
    assert examples
    for words in examples:
        options = parser_of("submit").parse_intermixed_args(words)
        pairs = [assignment(word) for word in options.arguments]
        args = {pair[0]: value_of(pair[1], {}) for pair in pairs if pair is not None}
        assert len(args) == len(pairs)
        if args:
            task = tasks[options.task]
            validate_arguments(task, *route_arguments(task, args=args))


def test_without_a_verb_all_are_told(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in ("", "--help"):
        assert run(shell, line) is None
        shown = capsys.readouterr().out
        assert all(verb in shown for verb in VERBS)


def test_lists(shell: InteractiveShell, fractal: Fractal) -> None:
    make_dataset(fractal, 3)
    assert [r.name for r in run(shell, "resources")] == ["Local resource"]
    assert [p.name for p in run(shell, "profiles")] == ["Local profile"]
    assert "Toy Parallel" in [t.name for t in run(shell, "tasks")]
    assert [d.name for d in run(shell, "datasets")] == ["plate"]
    assert list(run(shell, "jobs")) == []


def test_single_things(shell: InteractiveShell, fractal: Fractal) -> None:
    dataset = make_dataset(fractal, 3)
    shell.user_ns["mine"] = dataset
    assert run(shell, 'resources "Local resource"').name == "Local resource"
    assert run(shell, "profiles 'Local profile'").name == "Local profile"
    assert run(shell, 'tasks "Toy Parallel"').package == "toy-tasks"
    assert run(shell, "datasets plate").name == "plate"
    for word in ("mine", "$mine", "{mine}"):
        assert run(shell, f"datasets {word}") is dataset


def test_use_chooses_the_profile_of_the_session(shell: InteractiveShell, fractal: Fractal) -> None:
    fractal.profiles.add({"name": "Other", "resource_type": "local"}, resource="Local resource")
    with pytest.raises(UsageError, match="No profile is in use"):
        run(shell, "use")
    assert run(shell, "use Other").name == "Other"
    assert fractal.profile == "Other"
    assert run(shell, "use").name == "Other"


def test_check(shell: InteractiveShell) -> None:
    for line in ("check", 'check "Local resource"'):
        assert "worker" in [check.subject for check in run(shell, line)]


def test_submit_runs_a_task(shell: InteractiveShell, fractal: Fractal) -> None:
    make_dataset(fractal, 4)
    shell.user_ns["ending"] = "-3.zarr"
    run_cell(
        shell,
        'job = %fractal submit "Toy Parallel" plate behaviour=raise only=$ending --name "a try"',
    ).raise_error()
    job = shell.user_ns["job"]
    assert job.name == "a try"
    assert job.wait(60).status == "failed"
    assert run(shell, "status").id == job.id
    assert run(shell, "status job") is job
    assert [j.id for j in run(shell, "jobs --status failed")] == [job.id]
    log = run(shell, f"logs {job.id}")
    assert isinstance(log, LogText)
    assert "the toy is broken" in log
    assert "working on" in run(shell, "logs job --unit 1")
    assert run(shell, f"retry {job.id} --wait").status == "failed"


def test_cancel(shell: InteractiveShell, fractal: Fractal) -> None:
    make_dataset(fractal, 2)
    job = run(shell, 'submit "Toy Parallel" plate seconds=60')
    assert run(shell, f"cancel {job.id}").wait(60).status == "cancelled"


def test_plan_and_all_options(shell: InteractiveShell, fractal: Fractal) -> None:
    dataset = fractal.datasets.create("plate", zarr_dir="/data")
    dataset.add_images(
        [
            {"zarr_url": f"/data/{k}", "attributes": {"well": f"B0{k}"}, "types": {"is_3D": True}}
            for k in range(6)
        ]
    )
    plan = run(
        shell,
        'plan "Toy Parallel" --where well=B03,B04 plate --type is_3D --cold seconds=0.5 '
        '--meta cpus_per_task=1 --memory 1G only="x y" --version 1.0 --profile "Local profile"',
    )
    (step,) = plan.steps
    assert step.images == ("/data/3", "/data/4")
    (phase,) = step.phases
    assert phase.args == {"seconds": 0.5, "only": "x y"}
    assert step.type_filter == {"is_3D": True}


def test_a_cell_holds_arguments(shell: InteractiveShell, fractal: Fractal) -> None:
    make_dataset(fractal, 2)
    plan = run_with_body(
        shell, 'plan "Toy Parallel" plate seconds=2', '{"only": "x",\n "gate": "y"}'
    )
    assert plan.steps[0].phases[0].args == {"seconds": 2, "only": "x", "gate": "y"}
    with pytest.raises(UsageError, match="'seconds' is given twice"):
        run_with_body(shell, 'plan "Toy Parallel" plate seconds=2', '{"seconds": 1}')
    with pytest.raises(UsageError, match="takes no further lines"):
        run_with_body(shell, "jobs", "{}")


def test_workflows_are_found_by_name(shell: InteractiveShell, fractal: Fractal) -> None:
    make_dataset(fractal, 2)
    workflow = fractal.workflows.create(
        "all of it", steps=[{"task": "Toy Copy"}, {"task": "Toy Parallel"}]
    )
    shell.user_ns["workflow"] = workflow
    assert len(run(shell, 'plan "all of it" plate').steps) == 2
    assert len(run(shell, "plan $workflow plate --last 0").steps) == 1


def test_versions_are_told_apart(shell: InteractiveShell, fractal: Fractal) -> None:
    add_toy_tasks(fractal._store, version="2.0", folder="/other")
    make_dataset(fractal, 2)
    with pytest.raises(UsageError, match=r"toy-tasks 1\.0, toy-tasks 2\.0"):
        run(shell, 'plan "Toy Parallel" plate')
    plan = run(shell, 'plan "Toy Parallel" plate --version 2.0')
    assert plan.steps[0].package == "toy-tasks 2.0"
    assert len({task.version for task in run(shell, "tasks --version 2.0")}) == 1


def test_steps_are_updated(shell: InteractiveShell, fractal: Fractal) -> None:
    add_core(fractal, "2.0.2")
    add_core(fractal, "2.1.0")
    workflow = fractal.workflows.create("w", steps=[IMPORT])
    (update,) = run(shell, "update w")
    assert not update.fits
    with pytest.raises(UsageError, match="belongs in `advanced_options"):
        run(shell, "update w 0 --version 2.1.0")
    line = 'update w "Import OME-Zarr" --version 2.1.0 zarr_name=plate.zarr'
    assert run(shell, f"{line} --plan").fits
    assert fractal.workflows.get("w").steps == workflow.steps
    assert run(shell, line).steps[0]["args"] == {"zarr_name": "plate.zarr"}
    shell.user_ns["held"] = fractal.workflows.get("w")
    body = '{"zarr_name": "x", "advanced_options": {"overwrite": true}}'
    run_with_body(shell, "update held 0", body)
    assert fractal.workflows.get("w").steps[0]["args"]["zarr_name"] == "x"
    assert list(run(shell, "update held")) == []


def test_tasks_are_searched(shell: InteractiveShell, fractal: Fractal) -> None:
    add_core(fractal, "2.1.0")
    assert run(shell, 'tasks --search "IMAGE project"')[0].name == "Project Image"
    found = run(shell, "tasks --category segmentation --tag 2d")
    assert [task.name for task in found] == ["Threshold Segmentation"]
    found = run(shell, "tasks --modality HCS --search registration")
    assert [task.name for task in found] == ["Calculate Registration (image-based)"]


@pytest.mark.slow
def test_a_task_group_through_its_life(
    shell: InteractiveShell, fractal: Fractal, tmp_path: Path
) -> None:
    wheel = make_task_wheel(tmp_path / "wheels")
    group = run(shell, f"collect {wheel}")
    shell.user_ns["held"] = group
    assert [each.package for each in run(shell, "task-groups")] == ["toy-tasks", "my-tasks"]
    assert run(shell, "task-groups held") is group
    assert run(shell, "task-groups my-tasks --version 1.0").id == group.id
    assert not run(shell, "deactivate my-tasks").active
    assert not Path(group.folder).exists()
    assert run(shell, "reactivate held").active
    shell.user_ns["folder"] = tmp_path / "locks"
    lock = run(shell, "export held --to $folder/mine.lock")
    assert lock == tmp_path / "locks" / "mine.lock"
    assert run(shell, f"collect {lock}").lock == group.lock
    (unused, *_) = run(shell, "clean --unused-for 0")
    assert (unused.kind, group.active) == ("task group", True)
    run(shell, "clean --unused-for 0 --remove")
    assert not group.active
    assert run(shell, "delete my-tasks") is None
    done = [each.action for each in run(shell, "activities --limit 3")]
    assert done == ["delete", "clean", "collect"]
    newest = run(shell, "activities")[0]
    assert run(shell, f"activities {newest.id} --wait --cancel").status == "OK"


def test_pip_builds_what_is_to_be_built_by_pip(
    shell: InteractiveShell, fractal: Fractal, index: PackageIndex, tmp_path: Path
) -> None:
    document = fractal._store.resources.get("Local resource").document
    own = {**document, "tasks_pip_cache_dir": str(tmp_path / "pip")}
    fractal.resources.update("Local resource", own)
    make_task_wheel(index.folder)
    group = run(shell, "collect my-tasks==1.0 --pip")
    assert "Successfully installed my-tasks-1.0" in group.activities[0].log  # pip's words


def test_nothing_is_done_to_a_task_group_that_is_only_guessed(
    shell: InteractiveShell, fractal: Fractal
) -> None:
    add_toy_tasks(fractal._store, version="2.0", folder="/elsewhere")
    assert run(shell, "task-groups toy-tasks").version == "2.0"
    for verb in ("deactivate", "reactivate", "delete"):
        with pytest.raises(UsageError, match=r"several versions of toy-tasks: 1\.0, 2\.0"):
            run(shell, f"{verb} toy-tasks")
    assert all(group.active for group in fractal.task_groups.list())


def test_environments_of_others_and_source_folders(
    shell: InteractiveShell, fractal: Fractal, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="not an absolute path"):
        run(shell, "collect-custom my-tasks --python bin/python")
    with pytest.raises(UsageError, match="pyproject"):
        run(shell, f"collect {tmp_path} --editable")
    with pytest.raises(UsageError, match="has no pixi"):
        run(shell, "collect /x-1.0.tar.gz --pixi --pixi-version 0.50")
    group = fractal.task_groups.get("toy-tasks")
    fractal.workflows.create("all of it", steps=[{"task": "Toy Copy"}])
    with pytest.raises(UsageError, match="'all of it'"):
        run(shell, "delete toy-tasks")
    assert group.active


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "no verb 'nonsense'"),
        ("submit", "required: task, dataset\n"),
        ("submit a b --nonsense", "--nonsense"),
        ("resources a b", "unrecognized arguments: b"),
        ('submit "Toy Parallel', "not closed"),
        ("datasets nowhere", "nowhere"),
        ('submit "Toy Paralel" plate', "Toy Parallel"),
        ('submit "Toy Parallel" plate secs=3', "seconds"),
        ('submit "Toy Parallel" plate seconds=long', "args_parallel.seconds"),
        ('submit "Toy Parallel" plate seconds 3', "NAME=VALUE"),
        ('submit "Toy Parallel" plate seconds=$nothing', "no variable nothing"),
        ('submit "Toy Parallel" plate --meta mem', "--meta NAME=VALUE"),
        ('submit "Toy Parallel" plate --type is_3D=3', "true or false"),
        ("jobs --limit many", "invalid int value: 'many'"),
        ("update", "required: workflow\n"),
        ("update nothing", "nothing"),
        ("status", "no jobs yet"),
        ("status 17", "17"),
        ("cancel plate", "neither the number of a job nor"),
        ("collect x --pin y", "--pin NAME=VALUE"),
        ("collect x --pin-before y", "--pin-before NAME=VALUE"),
        ("collect-custom x", "required: --python"),
        ("task-groups nothing", "nothing"),
        ("deactivate toy-tasks --version 9", "toy-tasks 9"),
        ("activities plate", "neither the number of an activity nor"),
        ("activities --cancel", "%fractal activities NUMBER"),
        ("activities 17", "17"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(
    shell: InteractiveShell,
    fractal: Fractal,
    capsys: pytest.CaptureFixture[str],
    line: str,
    message: str,
) -> None:
    make_dataset(fractal, 2)
    with pytest.raises(UsageError) as caught:
        run(shell, line)
    assert message in str(caught.value)
    # A notebook that is run as a whole stops here, and nobody sees a traceback.
    result = run_cell(shell, f"%fractal {line}")
    assert isinstance(result.error_in_exec, UsageError)
    assert "Traceback" not in "".join(capsys.readouterr())
    assert list(fractal.jobs.list()) == []


def test_without_a_client_the_magic_makes_its_own(
    shell: InteractiveShell, fractal: Fractal, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(fractal, 1)
    monkeypatch.setenv("FRACTAL_JUPYTER_STORE", fractal.url)
    shell.user_ns["fractal"] = "something else"
    try:
        assert [d.name for d in run(shell, "datasets")] == ["plate"]
        own = run(shell, "datasets plate")._store
        assert own is run(shell, "datasets plate")._store
    finally:
        own.close()


def test_hostile_names_are_harmless_in_messages(shell: InteractiveShell) -> None:
    with pytest.raises(UsageError) as caught:
        run(shell, "datasets 'a\x1b[2J\u202eb'")
    assert "\x1b" not in str(caught.value)
    assert "\u202e" not in str(caught.value)
