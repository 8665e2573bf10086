"""Tasks by words: which of them fit, the best first. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from fractal_jupyter.engine.planning import RESERVED
from fractal_jupyter.engine.updating import version_order

T = TypeVar("T")

_WORD = re.compile(r"[^\W_]+")
# What a word counts where it is found; one in the name counts more than one anywhere else.
_IN_NAME: Final = 100
_IN_LABELS: Final = 30
_IN_FACTS: Final = 10
_IN_PROSE: Final = 3
_WHOLE, _BEGINNING, _INSIDE = 3, 2, 1
# Of a word that is sought as the beginning of others in prose.
_LEAST_LETTERS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """Which tasks are wanted; what is None does not matter. Case never does.

    Attributes:
        search: Words, in any order: each must be in the name, the tags, the category, the
            modality, the package, the type, the names of arguments, or the description.
        category: The category.
        modality: The modality.
        tag: One of the tags.
        package: The package, spelled as it is.
        version: Its version, spelled as it is.
    """

    search: str | None = None
    category: str | None = None
    modality: str | None = None
    tag: str | None = None
    package: str | None = None
    version: str | None = None

    @property
    def seeks(self) -> bool:
        """Whether it asks for more than a package and a version."""
        wanted = (self.search, self.category, self.modality, self.tag)
        return any(text is not None for text in wanted)


@dataclass(frozen=True, slots=True)
class SearchedTask:
    """What is known of a task: its entry in the manifest, its package and the package's version."""

    entry: Mapping[str, Any]
    package: str
    version: str | None


def find_tasks(
    tasks: Iterable[T], query: TaskQuery, *, about: Callable[[T], SearchedTask]
) -> list[T]:
    """Return the tasks that fit, the best first; in their order where no words are sought.

    What has the words in its name comes first, short names before long ones, and of the same
    task newer versions before older ones.

    Args:
        tasks: Any things that stand for tasks.
        query: Which of them are wanted.
        about: What is known of one of them.
    """
    known = ((task, about(task)) for task in tasks)
    fitting = [(task, facts) for task, facts in known if _fits(facts, query)]
    words = _words(query.search or "")
    if not words:
        return [task for task, _ in fitting]
    fitting.sort(key=lambda pair: version_order(pair[1].version), reverse=True)
    scored = [(_score(facts, words), task, facts) for task, facts in fitting]
    found = [one for one in scored if one[0]]
    found.sort(key=lambda one: (-one[0], len(str(one[2].entry["name"])), one[2].entry["name"]))
    return [task for _, task, _ in found]


def _fits(task: SearchedTask, query: TaskQuery) -> bool:
    entry = task.entry
    return (
        query.package in (None, task.package)
        and query.version in (None, task.version)
        and _is_one_of(query.category, [entry.get("category")])
        and _is_one_of(query.modality, [entry.get("modality")])
        and _is_one_of(query.tag, entry.get("tags") or ())
    )


def _is_one_of(wanted: str | None, texts: Iterable[object]) -> bool:
    return wanted is None or _words(wanted) in [_words(text) for text in texts]


def _score(task: SearchedTask, words: list[str]) -> int:
    """How well a task fits: the more, the better; 0 if one of the words is nowhere."""
    places = _places(task)
    scores = [max(place.score(word) for place in places) for word in words]
    return sum(scores) if all(scores) else 0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where words may be: what one that is found there counts, and what stands there."""

    count: int
    words: list[str]
    is_prose: bool = False

    def score(self, word: str) -> int:
        """How well a word is found: as one of the words, at the beginning of one, or inside."""
        if word in self.words:
            return self.count * _WHOLE
        # Prose has too many words for some letters in one of them to mean anything.
        if self.is_prose and len(word) < _LEAST_LETTERS:
            return 0
        if any(other.startswith(word) for other in self.words):
            return self.count * _BEGINNING
        is_inside = not self.is_prose and any(word in other for other in self.words)
        return self.count * _INSIDE if is_inside else 0


def _places(task: SearchedTask) -> list[_Place]:
    entry = task.entry
    labels = [entry.get("category"), entry.get("modality"), *(entry.get("tags") or ())]
    types = [*(entry.get("input_types") or ()), *(entry.get("output_types") or ())]
    facts = [task.package, task.version, entry.get("type"), *types]
    prose = [entry.get("docs_info"), *_arguments(entry)]
    return [
        _Place(_IN_NAME, _words(entry["name"])),
        _Place(_IN_LABELS, _words(*labels)),
        _Place(_IN_FACTS, _words(*facts)),
        _Place(_IN_PROSE, _words(*prose), is_prose=True),
    ]


def _arguments(entry: Mapping[str, Any]) -> list[str]:
    """The names of the arguments that a user can give."""
    schemas = (entry.get(f"args_schema_{part}") or {} for part in ("non_parallel", "parallel"))
    names = (name for schema in schemas for name in schema.get("properties") or ())
    return [name for name in names if name not in RESERVED]


def _words(*texts: object) -> list[str]:
    """The words of texts, without case and accents."""
    joined = " ".join(str(text) for text in texts if text is not None)
    plain = unicodedata.normalize("NFKD", joined.casefold())
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return _WORD.findall(letters)
