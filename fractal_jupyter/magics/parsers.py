"""What can be said after `%fractal`: one parser for each verb."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

from fractal_jupyter.errors import InvalidArguments


class HelpShown(Exception):
    """Raised after the help of a verb was printed."""


class VerbParser(argparse.ArgumentParser):
    """The parser of one verb; it raises instead of ending the process.

    Attributes:
        kinds: What each argument names (`profile`, `dataset`, …), by its destination; this is
            what completion offers.
    """

    def __init__(self, verb: str, description: str, *, epilog: str = "") -> None:
        super().__init__(
            prog=f"%fractal {verb}",
            description=description,
            epilog=epilog or None,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.kinds: dict[str, str] = {}

    def add(self, *names: str, kind: str = "", help: str, **options: Any) -> None:  # noqa: A002
        """Add an argument."""
        action = self.add_argument(*names, help=help, **options)
        if kind:
            self.kinds[action.dest] = kind

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the line, and how it should look."""
        usage = " ".join(self.format_usage().split())
        raise InvalidArguments(f"{message}\n{usage}\n{self.prog} --help tells more.")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002
        """Called after the help was printed."""
        raise HelpShown(message or "")

    @property
    def positionals(self) -> list[argparse.Action]:
        """The arguments that are told by their position."""
        return [action for action in self._actions if not action.option_strings]

    def option(self, name: str) -> argparse.Action | None:
        """The option with that name, `--profile`."""
        return next((a for a in self._actions if name in a.option_strings), None)

    @property
    def options(self) -> list[argparse.Action]:
        """All options."""
        return [action for action in self._actions if action.option_strings]


def _add_profile(parser: VerbParser) -> None:
    parser.add("--profile", kind="profile", help="profile, if not the one of `%%fractal use`")


def _resources() -> VerbParser:
    parser = VerbParser("resources", "Show where computing can happen: all resources, or one.")
    parser.add("name", nargs="?", kind="resource", help="name of a resource")
    return parser


def _profiles() -> VerbParser:
    parser = VerbParser("profiles", "Show as whom computing can happen: all profiles, or one.")
    parser.add("name", nargs="?", kind="profile", help="name of a profile")
    return parser


def _use() -> VerbParser:
    parser = VerbParser("use", "Use a profile wherever none is given, in this session.")
    parser.add("name", nargs="?", kind="profile", help="name of a profile; by default, show it")
    return parser


def _collect() -> VerbParser:
    parser = VerbParser(
        "collect",
        "Install a task package into an environment of its own, and read its tasks.",
        epilog="""\
examples:
  %fractal collect fractal-tasks-core==2.1.0 --python 3.12
  %fractal collect fractal-tasks-core-2.1.0.lock
  %fractal collect /home/me/my-tasks --editable
  %fractal collect /home/me/my-project-1.0.tar.gz --pixi""",
    )
    parser.add(
        "requirement",
        help="name, name==1.2.3, name[extra]==1.2.3, or the path of a wheel, of a lock file, of a "
        "source folder (--editable) or of a project archive (--pixi)",
    )
    _add_profile(parser)
    parser.add("--python", metavar="VERSION", kind="python", help="Python version, such as 3.12")
    parser.add("--extra", action="append", default=[], help="an extra of the package (repeatable)")
    _add_pins(parser, "--pin", "afterwards")
    _add_pins(parser, "--pin-before", "before it")
    parser.add("--pip", action="store_true", help="build with pip instead of uv")
    parser.add(
        "--editable",
        action="store_true",
        help="the requirement is a folder with the source; jobs run it as it is when submitted",
    )
    parser.add("--pixi", action="store_true", help="the requirement is a pixi project, a .tar.gz")
    parser.add(
        "--pixi-version",
        metavar="VERSION",
        kind="pixi",
        help="which pixi of the resource builds it",
    )
    return parser


def _add_pins(parser: VerbParser, option: str, when: str) -> None:
    parser.add(
        option,
        action="append",
        default=[],
        metavar="NAME=VERSION",
        help=f"version of another package, installed {when} (repeatable)",
    )


def _collect_custom() -> VerbParser:
    parser = VerbParser(
        "collect-custom",
        "Use a task package in an environment that somebody else looks after.",
        epilog="example:\n  %fractal collect-custom my-tasks --python /opt/env/bin/python",
    )
    parser.add("package", help="name of the package")
    parser.add("--python", metavar="PATH", required=True, help="the interpreter of the environment")
    _add_profile(parser)
    return parser


def _add_group(parser: VerbParser, *, optional: bool = False) -> None:
    """What all verbs take that are about one task group."""
    parser.add(
        "group",
        kind="group",
        help="name of a package (its newest task group), or a variable with a task group",
        **({"nargs": "?"} if optional else {}),
    )
    parser.add("--version", kind="version", help="that of this version of the package")


def _task_groups() -> VerbParser:
    parser = VerbParser(
        "task-groups", "Show all task groups; or one, with its tasks and what is installed."
    )
    _add_group(parser, optional=True)
    return parser


def _deactivate() -> VerbParser:
    parser = VerbParser(
        "deactivate", "Remove the environment of a task group; `reactivate` builds the same again."
    )
    _add_group(parser)
    return parser


def _reactivate() -> VerbParser:
    parser = VerbParser("reactivate", "Build the environment of a task group again, as it was.")
    _add_group(parser)
    return parser


def _delete() -> VerbParser:
    parser = VerbParser("delete", "Remove a task group that nothing uses, and its environment.")
    _add_group(parser)
    return parser


def _export() -> VerbParser:
    parser = VerbParser(
        "export",
        "Write a lock file, from which `collect` makes the same on another machine.",
        epilog="example:\n  %fractal export fractal-tasks-core --version 2.1.0 --to core.lock",
    )
    _add_group(parser)
    parser.add("--to", metavar="PATH", help="file or folder; by default the working directory")
    return parser


def _clean() -> VerbParser:
    parser = VerbParser(
        "clean", "Show what no workflow and no job uses, and what removing it would free."
    )
    parser.add(
        "--unused-for",
        type=float,
        default=30,
        metavar="DAYS",
        help="how long a task group must not have been used; 30 by default",
    )
    parser.add("--remove", action="store_true", help="remove it; task groups are deactivated")
    return parser


def _activities() -> VerbParser:
    parser = VerbParser(
        "activities", "Show what is done to task groups, the newest first; or one, with its log."
    )
    parser.add("activity", nargs="?", kind="activity", help="number, or a variable with one")
    parser.add("--limit", type=int, default=40, help="at most so many; 40 by default")
    parser.add("--wait", action="store_true", help="wait until the activity is over")
    parser.add("--cancel", action="store_true", help="stop it; all becomes as it was before")
    return parser


def _tasks() -> VerbParser:
    parser = VerbParser(
        "tasks",
        "Show all tasks, or those that fit; or one, with the arguments that it takes.",
        epilog='example:\n  %fractal tasks --search "segmentation 2D"',
    )
    parser.add("name", nargs="?", kind="task", help="name of a task")
    parser.add("--search", metavar="WORDS", help="only those with all of these words, in any order")
    parser.add("--category", kind="category", help="only those of a category")
    parser.add("--modality", kind="modality", help="only those for a modality")
    parser.add("--tag", kind="tag", help="only those with a tag")
    parser.add("--package", kind="package", help="only those of a package")
    parser.add("--version", kind="version", help="only those of a version of it")
    return parser


def _datasets() -> VerbParser:
    parser = VerbParser("datasets", "Show all datasets; or one, with its images.")
    parser.add("name", nargs="?", kind="dataset", help="name of a dataset")
    return parser


def _update() -> VerbParser:
    parser = VerbParser(
        "update",
        "Update a step of a workflow to another version of its task; or show what could be.",
        epilog="""\
examples:
  %fractal update nuclei
  %fractal update nuclei 0 --version 2.1.0 --plan
  %fractal update nuclei 0 --version 2.1.0 zarr_name=plate.zarr

Arguments that are given replace all that the step has; without any, it keeps them. The rest of a
cell that starts with %%fractal update is arguments, too. Nothing is changed unless all fits.""",
    )
    parser.add("workflow", kind="workflow", help="name of a workflow, or a variable with one")
    parser.add("step", nargs="?", help="number of a step from 0, or the name of its task")
    parser.add(
        "arguments",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        help=_ARGUMENT_HELP,
    )
    parser.add("--version", kind="version", help="version of the package; by default the newest")
    parser.add("--plan", action="store_true", help="show what would change; change nothing")
    return parser


_ARGUMENT_HELP = (
    "argument of the task; VALUE is JSON, a word, or a variable of the notebook: $name or {name}"
)


def _add_submission(parser: VerbParser) -> None:
    """What `submit` and `plan` have in common."""
    parser.add("task", kind="task", help="name of a task or workflow, or a variable with one")
    parser.add("dataset", kind="dataset", help="name of a dataset, or a variable with one")
    parser.add(
        "arguments",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        kind="argument",
        help=_ARGUMENT_HELP,
    )
    _add_profile(parser)
    parser.add("--version", kind="version", help="version of the task's package")
    parser.add("--name", help="what the job is called in lists")
    parser.add("--first", type=int, help="position of the first step of a workflow to run")
    parser.add("--last", type=int, help="position of the last step to run")
    parser.add(
        "--type",
        action="append",
        default=[],
        metavar="NAME[=false]",
        kind="type",
        help="only images that are of this type, or are not (repeatable)",
    )
    parser.add(
        "--where",
        action="append",
        default=[],
        metavar="NAME=VALUE,…",
        kind="where",
        help="only images with one of these values of an attribute (repeatable)",
    )
    parser.add(
        "--meta",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what the units need, such as mem=4000 or cpus_per_task=2 (repeatable)",
    )
    parser.add("--memory", metavar="SIZE", help="most memory of a unit on this machine: 2G")
    parser.add("--account", help="SLURM account that is charged")
    parser.add("--worker-init", metavar="LINES", help="shell lines before the worker, on SLURM")
    parser.add("--cold", action="store_true", help="start each unit as a process of its own")
    parser.add(
        "--rerun-interrupted",
        action="store_true",
        help="run units that were cut off again, without being asked",
    )


_SUBMISSION_EXAMPLES = """\
examples:
  job = %fractal {verb} "Project Image" plate method="Mean intensity projection"
  %fractal {verb} "Project Image" plate overwrite=true --where well=B03,B04
  %%fractal {verb} "Threshold Segmentation" plate
  {{"channel": {{"mode": "label", "identifier": "DAPI"}}}}

The rest of a cell that starts with %%fractal is arguments, as JSON or a Python dictionary."""


def _submit() -> VerbParser:
    parser = VerbParser(
        "submit",
        "Submit a task or a workflow on a dataset; returns the job at once.",
        epilog=_SUBMISSION_EXAMPLES.format(verb="submit"),
    )
    _add_submission(parser)
    parser.add("--wait", action="store_true", help="wait until the job is over")
    return parser


def _plan() -> VerbParser:
    parser = VerbParser(
        "plan",
        "Show what `submit` with the same arguments would run; runs nothing.",
        epilog=_SUBMISSION_EXAMPLES.format(verb="plan"),
    )
    _add_submission(parser)
    return parser


def _jobs() -> VerbParser:
    parser = VerbParser("jobs", "Show your jobs, the newest first.")
    parser.add("--status", kind="status", help="only jobs with this status")
    parser.add("--limit", type=int, default=40, help="at most so many; 40 by default")
    return parser


def _add_job(parser: VerbParser, *, optional: bool) -> None:
    where = "number of a job, or a variable with one" + ("; by default the newest" * optional)
    parser.add("job", kind="job", help=where, **({"nargs": "?"} if optional else {}))


def _status() -> VerbParser:
    parser = VerbParser("status", "Show how a job is going.")
    _add_job(parser, optional=True)
    parser.add("--wait", action="store_true", help="wait until the job is over")
    return parser


def _logs() -> VerbParser:
    parser = VerbParser("logs", "Show what a unit of a job has written.")
    _add_job(parser, optional=True)
    parser.add("--unit", type=int, help="index of the unit; by default the first that failed")
    return parser


def _cancel() -> VerbParser:
    parser = VerbParser("cancel", "Stop a job; what its units have done is kept.")
    _add_job(parser, optional=False)
    return parser


def _retry() -> VerbParser:
    parser = VerbParser("retry", "Run again what of a job did not succeed, then what is left.")
    _add_job(parser, optional=False)
    parser.add(
        "--meta",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what units need from now on, such as mem=8G (repeatable)",
    )
    parser.add("--wait", action="store_true", help="wait until the job is over")
    return parser


def _check() -> VerbParser:
    parser = VerbParser("check", "Try all that a resource needs: folders, interpreters, a worker.")
    parser.add(
        "name",
        nargs="?",
        kind="resource",
        help="name of a resource; by default that of the profile in use",
    )
    return parser


_MAKERS: dict[str, Callable[[], VerbParser]] = {
    "resources": _resources,
    "profiles": _profiles,
    "use": _use,
    "check": _check,
    "collect": _collect,
    "collect-custom": _collect_custom,
    "task-groups": _task_groups,
    "deactivate": _deactivate,
    "reactivate": _reactivate,
    "delete": _delete,
    "export": _export,
    "clean": _clean,
    "activities": _activities,
    "tasks": _tasks,
    "update": _update,
    "datasets": _datasets,
    "submit": _submit,
    "plan": _plan,
    "jobs": _jobs,
    "status": _status,
    "logs": _logs,
    "cancel": _cancel,
    "retry": _retry,
}

VERBS = tuple(_MAKERS)
"""All verbs, in the order in which they are told."""


@cache
def parser_of(verb: str) -> VerbParser:
    """The parser of a verb; raises `InvalidArguments` when there is no such verb."""
    maker = _MAKERS.get(verb)
    if maker is None:
        raise InvalidArguments(
            f"There is no verb {verb!r}. There are: {', '.join(VERBS)}. %fractal --help tells more."
        )
    parser = maker()
    # Written down, since argparse would take the sign in `%fractal` for one of its own.
    parser.usage = parser.format_usage().removeprefix("usage: ").replace("%", "%%")
    return parser


def overview() -> str:
    """All verbs, with a line for each."""
    lines = [f"  {verb:<14} {parser_of(verb).description}" for verb in VERBS]
    return "\n".join(
        [
            "usage: %fractal VERB …",
            "",
            *lines,
            "",
            "%fractal VERB --help tells what a verb takes. Results can be kept:",
            '  job = %fractal submit "Project Image" plate overwrite=true',
            "All work with the Fractal object that the notebook calls `fractal`, if it has one.",
        ]
    )
