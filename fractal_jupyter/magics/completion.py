"""Completion of `%fractal` lines: verbs, options, names, and arguments of the chosen task."""

from __future__ import annotations

import json
import re
from argparse import Action
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fractal_jupyter.engine.planning import RESERVED
from fractal_jupyter.errors import FractalError
from fractal_jupyter.magics.parsers import VERBS, VerbParser, parser_of
from fractal_jupyter.magics.words import Word, quote, split

if TYPE_CHECKING:
    from fractal_jupyter.client.fractal import Fractal
    from fractal_jupyter.magics.magic import FractalMagic
    from fractal_jupyter.models.images import Image

MATCHER = "fractal_jupyter.magics"
# The magic at the beginning of a line, perhaps with its result assigned.
_START = re.compile(r"^\s*(?:[\w.\[\]'\"]+\s*=\s*)?%{1,2}fractal(?:\s+(?P<rest>.*))?$")
_JOB_STATUSES = ("submitted", "running", "done", "failed", "cancelled")
MOST_LISTED = 20
# So many images are looked at for their attributes, and so many values of one are offered.
MOST_IMAGES, MOST_VALUES = 5_000, 500


@dataclass(frozen=True, slots=True)
class Completions:
    """What fits at the end of a line.

    Attributes:
        fragment: The end of the line that each candidate replaces.
        candidates: What may stand there.
        kind: What they are, in a word.
    """

    fragment: str
    candidates: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Names:
    """The names that can be completed, by what they name."""

    fractal: Fractal
    variables: Mapping[str, Any]

    def of(self, kind: str) -> Iterable[str]:
        """The names of one kind."""
        sources: Mapping[str, Callable[[], Iterable[str]]] = {
            "profile": lambda: [p.name for p in self.fractal.profiles.list()],
            "resource": lambda: [r.name for r in self.fractal.resources.list()],
            "dataset": self._datasets,
            "task": self._tasks,
            "workflow": self._workflows,
            "category": lambda: self._said("category"),
            "modality": lambda: self._said("modality"),
            "tag": lambda: [tag for task in self.fractal.tasks.list() for tag in task.tags],
            "package": lambda: [g.package for g in self.fractal.task_groups.list()],
            "version": lambda: [str(g.version) for g in self.fractal.task_groups.list()],
            "python": lambda: self._versions("tasks_python_config"),
            "pixi": lambda: self._versions("tasks_pixi_config"),
            "group": self._groups,
            "activity": self._activities,
            "status": lambda: _JOB_STATUSES,
            "job": self._jobs,
        }
        return dict.fromkeys(sources[kind]()) if kind in sources else ()

    def _held(self, kind: str) -> list[str]:
        """The variables that hold an object of the Python API of that kind."""
        return [
            name
            for name, value in list(self.variables.items())
            if not name.startswith("_")
            and type(value).__name__ == kind
            and type(value).__module__.startswith("fractal_jupyter.client")
        ]

    def _datasets(self) -> list[str]:
        return [*(d.name for d in self.fractal.datasets.list()), *self._held("Dataset")]

    def _tasks(self) -> list[str]:
        return [
            *(task.name for task in self.fractal.tasks.list()),
            *(workflow.name for workflow in self.fractal.workflows.list()),
        ]

    def _workflows(self) -> list[str]:
        return [*(w.name for w in self.fractal.workflows.list()), *self._held("Workflow")]

    def _said(self, field: str) -> list[str]:
        """What tasks say of themselves in a field, without those that say nothing."""
        said = (getattr(task, field) for task in self.fractal.tasks.list())
        return [str(text) for text in said if text]

    def _jobs(self) -> list[str]:
        return [*(str(j.id) for j in self.fractal.jobs.list(limit=MOST_LISTED)), *self._held("Job")]

    def _groups(self) -> list[str]:
        return [*(g.package for g in self.fractal.task_groups.list()), *self._held("TaskGroup")]

    def _activities(self) -> list[str]:
        latest = self.fractal.activities.list(limit=MOST_LISTED)
        return [*(str(activity.id) for activity in latest), *self._held("Activity")]

    def _versions(self, config: str) -> list[str]:
        """What resources have in `versions` of one of their fields."""
        configs = [r.document.get(config) or {} for r in self.fractal.resources.list()]
        return [str(version) for each in configs for version in each.get("versions", {})]

    def images(self, dataset: str) -> list[Image]:
        """The first images of a dataset: its name, or a variable that holds one."""
        held = dataset.strip("${}")
        name = self.variables[held].name if held in self._held("Dataset") else dataset
        datasets = self.fractal._store.datasets
        found = datasets.find(name)
        return [] if found is None else datasets.images(found.id, limit=MOST_IMAGES)

    def schemas(self, task: str) -> Iterator[Mapping[str, Any]]:
        """The schema of each argument of a task, by name; one mapping for each of its parts."""
        found = [t for t in self.fractal.tasks.list() if t.name == task]
        for entry in found[-1:]:
            for schema in (entry.args_schema_non_parallel, entry.args_schema_parallel):
                properties = (schema or {}).get("properties", {})
                definitions = (schema or {}).get("$defs", {})
                yield {
                    name: _resolved(field, definitions)
                    for name, field in properties.items()
                    if name not in RESERVED
                }


def _resolved(field: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = str(field.get("$ref", "")) if isinstance(field, dict) else ""
    target = definitions.get(reference.rpartition("/")[2], field)
    return target if isinstance(target, dict) else {}


def complete(line: str, names: Callable[[], Names]) -> Completions | None:
    """What fits at the end of a line; None when it is no line of this magic.

    Args:
        line: The line up to the cursor.
        names: Gives the names; called only when they are needed.
    """
    match = _START.match(line)
    if match is None or match["rest"] is None:
        return None
    rest = match["rest"]
    words = split(rest)
    last = words.pop() if words and not _finished(rest, words[-1]) else Word("", start=len(rest))
    fragment = rest[last.start :]
    if not words:
        return _fitting(fragment, last, (*VERBS, "--help"), "verb")
    try:
        parser = parser_of(str(words[0]))
    except FractalError:
        return None
    return _in_verb(parser, words[1:], last, fragment, names)


def _finished(line: str, last: Word) -> bool:
    """Whether the last word is followed by a space that is not a part of it."""
    return line[-1:].isspace() and not last.open and split(line + "x")[-1].start == len(line)


def _in_verb(
    parser: VerbParser,
    words: list[Word],
    last: Word,
    fragment: str,
    names: Callable[[], Names],
) -> Completions | None:
    option, given = _place(parser, words)
    if option is not None:
        kind = parser.kinds.get(option.dest, "")
        if kind in ("where", "type"):
            images = names().images(str(given[1])) if len(given) > 1 else ()
            complete_it = _where if kind == "where" else _type
            return complete_it(images, last, fragment)
        return _fitting(fragment, last, names().of(kind), kind) if kind else None
    if last.startswith("-"):
        used = {a.dest for w in words if (a := parser.option(w)) and not _repeats(a)}
        options = [a.option_strings[-1] for a in parser.options if a.dest not in used]
        return _fitting(fragment, last, options, "option")
    positionals = parser.positionals
    place = min(len(given), len(positionals) - 1)
    if place < 0 or (len(given) >= len(positionals) and positionals[-1].nargs != "*"):
        return None
    kind = parser.kinds.get(positionals[place].dest, "")
    if kind == "argument":
        return _argument(given, last, fragment, names())
    return _fitting(fragment, last, names().of(kind), kind) if kind else None


def _place(parser: VerbParser, words: list[Word]) -> tuple[Action | None, list[Word]]:
    """The option whose value comes next, if one does, and the words that belong to no option."""
    option: Action | None = None
    given: list[Word] = []
    for word in words:
        if option is not None:
            option = None
        elif word.startswith("-") and not word.quoted:
            option = parser.option(word)
            option = option if option is not None and option.nargs != 0 else None
        else:
            given.append(word)
    return option, given


def _repeats(action: Action) -> bool:
    return isinstance(action.default, list)


def _argument(given: list[Word], last: Word, fragment: str, names: Names) -> Completions | None:
    """The names of a task's arguments, or the values of the one that is being written."""
    schemas = {n: s for part in names.schemas(str(given[0])) for n, s in part.items()}
    name, equals, _ = fragment.partition("=")
    if not equals:
        used = {word.partition("=")[0] for word in given[2:]}
        free = [f"{name}=" for name in schemas if name not in used]
        return Completions(
            fragment, tuple(text for text in free if text.startswith(fragment)), "argument"
        )
    start = fragment[len(name) + 1 :]
    value = Word(last[len(name) + 1 :], open=last.open)
    return _fitting(start, value, _values(schemas.get(name, {})), "value")


def _where(images: Iterable[Image], last: Word, fragment: str) -> Completions:
    """The attributes of images, or the values of the one that is being written."""
    values: dict[str, dict[str, None]] = {}
    for image in images:
        for attribute, value in image.attributes.items():
            shown = json.dumps(value) if isinstance(value, bool) else str(value)
            values.setdefault(attribute, {})[shown] = None
    name, equals, rest = str(last).partition("=")
    if not equals:
        found = _fitting(fragment, last, values, "attribute")
        return replace(found, candidates=tuple(f"{one}=" for one in found.candidates))
    # Several values have commas between them; the last one is being written.
    *given, value = rest.split(",")
    free = [one for one in values.get(name, {}) if one not in given]
    start = re.split("[=,]", fragment)[-1]
    return _fitting(start, Word(value, open=last.open), free[:MOST_VALUES], "value")


def _type(images: Iterable[Image], last: Word, fragment: str) -> Completions:
    """The types of images, each as it is and as it is not."""
    types = dict.fromkeys(name for image in images for name in image.types)
    both = [text for name in types for text in (name, f"{name}=false")]
    return _fitting(fragment, last, both, "type")


def _values(schema: Mapping[str, Any]) -> list[str]:
    if isinstance(schema.get("enum"), list):
        return [str(value) for value in schema["enum"]]
    return ["true", "false"] if schema.get("type") == "boolean" else []


def _fitting(fragment: str, last: Word, names: Iterable[str], kind: str) -> Completions:
    """The names that begin with the last word, written as it was begun."""
    mark = fragment[:1] if fragment[:1] in ("'", '"') else ""
    plain = kind in ("verb", "option", "type")
    found = [name for name in names if name.lower().startswith(last.lower())]
    shown = tuple(name if plain else quote(name, mark=mark) for name in found)
    return Completions(fragment, shown, kind)


def add_completion(ipython: Any, magic: FractalMagic) -> None:
    """Teach the completer of an IPython shell these lines."""
    from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

    @context_matcher(priority=1_000, identifier=MATCHER)  # type: ignore[untyped-decorator]
    def matcher(context: CompletionContext) -> dict[str, Any]:
        try:
            found = complete(
                context.text_until_cursor, lambda: Names(magic.fractal, magic.variables)
            )
        except FractalError:
            found = None
        if found is None:
            return {"completions": [], "suppress": False}
        after = context.line_with_cursor[context.cursor_position :]
        offered = [
            SimpleCompletion(text=_before(text, after), type=found.kind)
            for text in found.candidates
        ]
        return {
            "completions": offered or _NothingElse(),
            "matched_fragment": found.fragment,
            "suppress": True,
            "ordered": True,
        }

    completer = ipython.Completer
    completer.custom_matchers[:] = [
        other
        for other in completer.custom_matchers
        if getattr(other, "matcher_identifier", None) != MATCHER
    ]
    completer.custom_matchers.append(matcher)


class _NothingElse(list[Any]):
    """No completion at all: IPython asks other completers where a list has no length."""

    def __len__(self) -> int:
        return 1


def _before(text: str, after: str) -> str:
    """A candidate without its last quotation mark where an editor has already put one."""
    closed = text[:1] in ("'", '"') and after[:1] == text[:1]
    return text[:-1] if closed else text
