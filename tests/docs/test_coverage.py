"""What there is, is documented: the API, the fields of documents, problems, variables, parts."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

import fractal_jupyter
from fractal_jupyter import client, environment, errors
from fractal_jupyter.client.jobs import UNIT_STATUSES
from fractal_jupyter.client.listing import Brief, Listing, Shown
from fractal_jupyter.magics.parsers import VERBS, parser_of
from fractal_jupyter.models.images import Image
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.models.profile import SlurmSSHProfile, parse_profile
from fractal_jupyter.models.python_config import PixiConfig, PixiSlurmConfig, PythonConfig
from fractal_jupyter.models.resource import SlurmSSHResource, parse_resource
from fractal_jupyter.models.runner_config import (
    BatchingConfig,
    LocalRunnerConfig,
    SlurmOptions,
    SlurmRunnerConfig,
)
from fractal_jupyter.models.workflow import Step
from fractal_jupyter.runner.checks import Check
from fractal_jupyter.runner.submitting import THREAD_VARIABLES
from fractal_jupyter.store.records import ActivityRecord, StepRecord, UnitRecord
from fractal_jupyter.store.tables import metadata
from tests.docs.pages import ROOT, Page, read_pages
from tests.test_layers import LAYERS

PACKAGE = Path(fractal_jupyter.__file__).parent
PAGES = {page.name: page for page in read_pages()}
API = PAGES["docs/python-api.md"]


def names_in(text: str) -> set[str]:
    """All words in code: between backticks, and in blocks."""
    return {
        word for span in re.findall(r"`+[^`]+`+", text) for word in re.findall(r"[\w.]+", span)
    } | {part for span in re.findall(r"`[^`]+`", text) for part in re.findall(r"\w+", span)}


def sections(page: Page) -> dict[str, str]:
    """The text of each section of a page, by its heading."""
    parts = re.split(r"^## (.+)$", page.text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


# The API


def client_classes() -> list[type]:
    """The public classes of the client."""
    modules: list[ModuleType] = [
        importlib.import_module(f"{client.__name__}.{info.name}")
        for info in pkgutil.iter_modules(client.__path__)
    ]
    return [
        found
        for module in modules
        for name, found in inspect.getmembers(module, inspect.isclass)
        if found.__module__ == module.__name__
        and not name.startswith("_")
        and found not in (Brief, Listing, Shown)
    ]


def public_names(found: type) -> set[str]:
    """The public methods, properties and fields of a class, and what its docstring names so."""
    own = {name for name in vars(found) if not name.startswith("_")}
    if dataclasses.is_dataclass(found):
        own |= {f.name for f in dataclasses.fields(found) if not f.name.startswith("_")}
    attributes = re.search(r"Attributes:\n(.*?)(?:\n\s*\n|\Z)", found.__doc__ or "", re.DOTALL)
    if attributes:
        own |= set(re.findall(r"^\s+(\w+):", attributes[1], re.MULTILINE))
    return own - {"model_config", "model_fields"}


@pytest.mark.parametrize(
    "found",
    [*client_classes(), Image, Check, UnitRecord, StepRecord, ActivityRecord],
    ids=lambda found: found.__name__,
)
def test_the_api_is_documented(found: type) -> None:
    section = sections(API).get(found.__name__)
    assert section is not None, f"docs/python-api.md has no section for {found.__name__}"
    missing = public_names(found) - {"from_row"} - names_in(section)
    assert not missing, f"{found.__name__}: {sorted(missing)}"


def test_fields_of_tasks_are_documented() -> None:
    own = {name for name, value in vars(TaskEntry).items() if isinstance(value, property)}
    missing = (own | set(TaskEntry.model_fields)) - names_in(sections(API)["Task"])
    assert not missing


def test_arguments_of_submit_and_collect_are_documented() -> None:
    section = names_in(sections(API)["Fractal"])
    for method in (client.Fractal.submit, client.Fractal.collect):
        assert set(inspect.signature(method).parameters) - {"self"} <= section
    assert set(Step.model_fields) <= names_in(sections(API)["Workflows"])


def test_collection_errors_are_documented() -> None:
    words = names_in(PAGES["docs/tasks-and-environments.md"].text)
    kinds = errors.CollectionError.__subclasses__()
    assert {kind.__name__ for kind in kinds} <= words


def test_verbs_are_documented() -> None:
    section = sections(PAGES["docs/magics.md"])["Verbs"]
    rows = dict(re.findall(r"^\| `(\w[\w-]*)[^`]*` \| (.*) \|$", section, re.MULTILINE))
    assert tuple(rows) == VERBS
    option = r"--[a-z][a-z-]*"
    shared = set(re.findall(option, section.partition("| option of")[2].partition("\n\n")[0]))
    for verb, row in rows.items():
        told = set(re.findall(option, row)) | (shared if "ptions below" in row else set())
        named = {action.option_strings[-1] for action in parser_of(verb).options}
        assert told == named - {"--help"}, verb


# Documents


@pytest.mark.parametrize(
    "model",
    [
        *(SlurmSSHResource, SlurmSSHProfile, LocalRunnerConfig, SlurmRunnerConfig, SlurmOptions),
        *(BatchingConfig, PythonConfig, PixiConfig, PixiSlurmConfig),
    ],
    ids=lambda model: model.__name__,
)
def test_fields_of_documents_are_documented(model: type[BaseModel]) -> None:
    missing = set(model.model_fields) - names_in(PAGES["docs/resources-and-profiles.md"].text)
    assert not missing


def test_documents_that_are_shown_are_valid() -> None:
    pages = (PAGES["docs/resources-and-profiles.md"], PAGES["docs/slurm.md"])
    blocks = (block for page in pages for block in page.blocks if block.language == "json")
    shown = [json.loads(block.source) for block in blocks]
    for document in shown:
        parse = parse_resource if "type" in document else parse_profile
        assert parse(document).to_document() == document
    kinds = {document.get("type") or document["resource_type"] for document in shown}
    assert kinds == {"local", "slurm_sudo", "slurm_ssh"}


# Problems


class Source:
    """The modules of a part of the package."""

    def __init__(self, part: str) -> None:
        self.trees = [ast.parse(path.read_text("utf-8")) for path in (PACKAGE / part).glob("*.py")]

    def problems(self) -> Iterator[str]:
        """Constants that end up as `problem` of a unit, however they are passed."""
        for node in (node for tree in self.trees for node in ast.walk(tree)):
            if isinstance(node, ast.Call):
                yield from self._passed(node)
            elif isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "problem":
                        yield from _texts(value)

    def _passed(self, call: ast.Call) -> Iterator[str]:
        for keyword in call.keywords:
            if keyword.arg == "problem":
                yield from _texts(keyword.value)
        place = self._places.get(getattr(call.func, "id", ""))
        if place is not None and place < len(call.args):
            yield from _texts(call.args[place])

    @cached_property
    def _places(self) -> dict[str, int]:
        """Where the argument `problem` stands, by the name of the function or tuple."""
        places = {}
        for node in (node for tree in self.trees for node in ast.walk(tree)):
            names: list[str] = []
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args]
            elif isinstance(node, ast.ClassDef):
                fields = (field for field in node.body if isinstance(field, ast.AnnAssign))
                names = [getattr(field.target, "id", "") for field in fields]
            if "problem" in names and isinstance(node, ast.FunctionDef | ast.ClassDef):
                places[node.name] = names.index("problem")
        return places


def _texts(node: ast.expr) -> Iterator[str]:
    """The text that an expression is, or the texts that it may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _texts(value)


def test_problems_of_units_are_documented() -> None:
    parts = ("worker", "schedulers", "runner", "store")
    written = {name for part in parts for name in Source(part).problems()}
    assert written >= {"killed", "invalid_output", "worker_gone", "out_of_memory", "preempted"}
    section = sections(PAGES["docs/running.md"])["What a unit's status means"]
    table = section.partition("| `problem` |")[2]
    # What SLURM does not accept is an error of submitting, which has no code.
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == written


def test_statuses_of_units_are_documented() -> None:
    section = sections(PAGES["docs/running.md"])["What a unit's status means"]
    table = section.partition("| `problem` |")[0].partition("| `status` |")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(UNIT_STATUSES)


# Environment variables


def variables_read() -> set[str]:
    """Names of environment variables that the package looks at itself."""
    trees = (ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py"))
    nodes = [node for tree in trees for node in ast.walk(tree)]
    # Ours are often constants, and used elsewhere.
    ours = {
        text
        for node in nodes
        if isinstance(node, ast.Constant)
        for text in _texts(node)
        if re.fullmatch(r"FRACTAL(_[A-Z]+)+", text)
    }
    return ours.union(*(_texts(name) for node in nodes for name in _looked_up(node)))


def _looked_up(node: ast.AST) -> Iterator[ast.expr]:
    """What a piece of code looks up in `os.environ`."""
    if isinstance(node, ast.Subscript) and _is_environment(node.value):
        yield node.slice
    elif isinstance(node, ast.Compare) and any(map(_is_environment, node.comparators)):
        yield node.left
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (node.func.attr == "getenv" or _is_environment(node.func.value))
    ):
        yield from node.args[:1]


def _is_environment(node: ast.expr) -> bool:
    return ast.unparse(node) in ("os.environ", "environ")


def test_variables_that_are_read_are_documented() -> None:
    read = variables_read()
    assert read >= {"FRACTAL_JUPYTER_STORE", "FRACTAL_RUNNER_BACKEND", "TERM", "NO_COLOR"}
    words = set().union(*(names_in(page.text) for page in PAGES.values()))
    assert not read - words


def test_variables_that_are_passed_on_are_documented() -> None:
    running = names_in(sections(PAGES["docs/running.md"])["What a task sees"])
    locale = {name for name in environment._FOR_JOBS if name.startswith("LC_")}
    proxies = {name for name in environment._PROXIES if name.isupper()}
    assert {name.removeprefix("LC_") for name in locale} <= running
    assert environment._FOR_JOBS - locale - proxies <= running
    assert set(THREAD_VARIABLES) <= running
    building = names_in(PAGES["docs/tasks-and-environments.md"].text)
    assert not environment._FOR_BUILDS - building


# The map


def test_the_layers_are_documented() -> None:
    page = PAGES["docs/architecture.md"]
    shown = next(block.source for block in page.blocks if block.source.startswith("printable"))
    assert shown.splitlines() == [" ".join(parts) for parts in LAYERS]
    rows = re.findall(r"^\| `(\w+)` \| ", page.text, re.MULTILINE)
    assert rows == [part for parts in LAYERS for part in parts]


def test_the_tables_are_documented() -> None:
    assert set(metadata.tables) <= names_in(PAGES["docs/architecture.md"].text)


def test_modules_that_are_named_are_there() -> None:
    page = PAGES["docs/architecture.md"]
    named = set(re.findall(r"[a-z_/]+/[a-z_]+\.py", page.text))
    roots = (PACKAGE, ROOT)
    assert named
    assert not {name for name in named if not any((root / name).exists() for root in roots)}
