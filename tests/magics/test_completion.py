from __future__ import annotations

import pytest
from IPython.core.completer import provisionalcompleter, rectify_completions
from IPython.core.interactiveshell import InteractiveShell

from fractal_jupyter import Fractal
from fractal_jupyter.magics import register
from fractal_jupyter.magics.completion import Names, complete
from fractal_jupyter.magics.parsers import VERBS
from tests.toy import make_dataset

PIN_TO_PIXI = ("pin", "pin-before", "pip", "pixi", "pixi-version")


def completed(shell: InteractiveShell, line: str, after: str = "") -> list[str]:
    """The lines that completion offers, as an editor would make them."""
    code = line + after
    with provisionalcompleter():
        found = list(rectify_completions(code, shell.Completer.completions(code, len(line))))
    return [code[: each.start] + each.text + code[each.end :] for each in found]


@pytest.fixture(autouse=True)
def _names(fractal: Fractal, shell: InteractiveShell) -> None:
    shell.user_ns["mine"] = make_dataset(fractal, 1)
    fractal.datasets.create("my plate", zarr_dir="/x")
    wells = fractal.datasets.create("wells", zarr_dir="/w")
    wells.add_images(
        {"zarr_url": f"/w/{k}", "attributes": {"well": well, "t": k}, "types": {"is_3D": True}}
        for k, well in enumerate(("B03", "B04", "C05"))
    )
    shell.user_ns["held"] = wells
    fractal.workflows.create("all of it", steps=[{"task": "Toy Copy"}])


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%fractal re", [f"%fractal {verb}" for verb in ("resources", "reactivate", "retry")]),
        ("%%fractal su", ["%%fractal submit"]),
        ("job = %fractal su", ["job = %fractal submit"]),
        ("%fractal use L", ['%fractal use "Local profile"']),
        ("%fractal use 'Local p", ["%fractal use 'Local profile'"]),
        ("%fractal check ", ['%fractal check "Local resource"']),
        ("%fractal datasets m", ['%fractal datasets "my plate"', "%fractal datasets mine"]),
        (
            '%fractal datasets "',
            [
                '%fractal datasets "plate"',
                '%fractal datasets "my plate"',
                '%fractal datasets "wells"',
                '%fractal datasets "mine"',
                '%fractal datasets "held"',
            ],
        ),
        ('%fractal submit "toy pa', ['%fractal submit "Toy Parallel"']),
        ("%fractal submit all", ['%fractal submit "all of it"']),
        ('%fractal plan "Toy Parallel" pl', ['%fractal plan "Toy Parallel" plate']),
        (
            '%fractal submit "Toy Parallel" plate ',
            [
                f'%fractal submit "Toy Parallel" plate {name}='
                for name in ("behaviour", "only", "seconds", "gate")
            ],
        ),
        (
            '%fractal submit "Toy Parallel" plate only=x --cold g',
            ['%fractal submit "Toy Parallel" plate only=x --cold gate='],
        ),
        ("%fractal submit a b --wo", ["%fractal submit a b --worker-init"]),
        ("%fractal submit --profile L", ['%fractal submit --profile "Local profile"']),
        ("%fractal jobs --status r", ["%fractal jobs --status running"]),
        ("%fractal tasks --package t", ["%fractal tasks --package toy-tasks"]),
        ("%fractal task", ["%fractal task-groups", "%fractal tasks"]),
        ("%fractal deactivate t", ["%fractal deactivate toy-tasks"]),
        ("%fractal export toy-tasks --version ", ["%fractal export toy-tasks --version 1.0"]),
        ("%fractal collect x --pi", [f"%fractal collect x --{o}" for o in PIN_TO_PIXI]),
        ("%fractal update a", ['%fractal update "all of it"']),
        (
            '%fractal submit "Toy Parallel" wells --where ',
            [f'%fractal submit "Toy Parallel" wells --where {name}=' for name in ("well", "t")],
        ),
        (
            '%fractal submit "Toy Parallel" wells --where well=B03,',
            [f'%fractal submit "Toy Parallel" wells --where well=B03,{w}' for w in ("B04", "C05")],
        ),
        (
            "%fractal plan a wells --where well=B",
            [f"%fractal plan a wells --where well=B0{k}" for k in (3, 4)],
        ),
        (
            "%fractal plan a $held --where t=",
            [f"%fractal plan a $held --where t={k}" for k in range(3)],
        ),
        (
            "%fractal plan a wells --type ",
            ["%fractal plan a wells --type is_3D", "%fractal plan a wells --type is_3D=false"],
        ),
        ("%fractal plan a wells --where nothing=", []),
        ("%fractal plan a unknown --where ", []),
        ("%fractal plan --where ", []),
        ("%fractal update nothing", []),
        ("%fractal update x 0 --version 1", ["%fractal update x 0 --version 1.0"]),
    ],
)
def test_lines(shell: InteractiveShell, line: str, offered: list[str]) -> None:
    assert completed(shell, line) == offered


@pytest.mark.parametrize(
    "line", ["fractal ", "%fractal jobs ", "%fractal nonsense ", "%fractal submit a b --cold --col"]
)
def test_where_nothing_fits_nothing_is_offered(
    fractal: Fractal, shell: InteractiveShell, line: str
) -> None:
    found = complete(line, lambda: Names(fractal, shell.user_ns))
    assert found is None or not found.candidates


def test_without_workflows_no_keywords_are_offered_for_them(
    fractal: Fractal, shell: InteractiveShell
) -> None:
    fractal.workflows.remove("all of it")
    assert completed(shell, "%fractal update ") == []


def test_python_versions_are_those_of_the_resources(
    fractal: Fractal, shell: InteractiveShell
) -> None:
    found = completed(shell, "%fractal collect x --python ")
    versions = fractal.resources.list()[0].document["tasks_python_config"]["versions"]
    assert found == [f"%fractal collect x --python {version}" for version in versions]


def test_pixi_versions_are_those_of_the_resources(
    fractal: Fractal, shell: InteractiveShell
) -> None:
    document = dict(fractal.resources.get("Local resource").document)
    pixi = {"default_version": "0.50.2", "versions": {"0.50.2": "/opt/pixi/0.50.2"}}
    fractal.resources.update("Local resource", {**document, "tasks_pixi_config": pixi})
    line = "%fractal collect x.tar.gz --pixi --pixi-version "
    assert completed(shell, line) == [f"{line}0.50.2"]


def test_task_groups_and_activities_are_offered(shell: InteractiveShell, fractal: Fractal) -> None:
    shell.user_ns["group"] = fractal.task_groups.get("toy-tasks")
    assert completed(shell, "%fractal task-groups ") == [
        "%fractal task-groups toy-tasks",
        "%fractal task-groups group",
    ]
    key = fractal._store.activities.begin(action="check", subject="Local resource").id
    assert completed(shell, "%fractal activities ") == [f"%fractal activities {key}"]


def test_all_verbs_are_offered(shell: InteractiveShell) -> None:
    assert completed(shell, "%fractal ")[: len(VERBS)] == [f"%fractal {verb}" for verb in VERBS]


def test_a_quotation_mark_of_the_editor_is_not_doubled(shell: InteractiveShell) -> None:
    assert completed(shell, '%fractal submit "Toy Pa', '" plate') == [
        '%fractal submit "Toy Parallel" plate'
    ]


def test_later_lines_of_a_cell(shell: InteractiveShell) -> None:
    assert completed(shell, "x = 1\n%fractal us") == ["x = 1\n%fractal use"]


def test_other_lines_are_left_alone(shell: InteractiveShell) -> None:
    shell.user_ns["fractal_number"] = 3
    assert "fractal_number" in completed(shell, "fractal_n")
    assert completed(shell, "fractal_number.bit_l") == ["fractal_number.bit_length"]


def test_the_older_interface_offers_the_same(shell: InteractiveShell) -> None:
    with pytest.warns(PendingDeprecationWarning):
        text, matches = shell.complete(None, "%fractal res", len("%fractal res"))
    assert (text, matches) == ("res", ["resources"])


def test_loading_again_offers_nothing_twice(shell: InteractiveShell) -> None:
    register(shell)
    assert completed(shell, "%fractal res") == ["%fractal resources"]


def test_jobs(shell: InteractiveShell, fractal: Fractal) -> None:
    job = fractal.submit("Toy Parallel", "plate")
    shell.user_ns["last"] = job
    assert completed(shell, "%fractal cancel ") == [
        f"%fractal cancel {job.id}",
        "%fractal cancel last",
    ]
    job.wait(60)
