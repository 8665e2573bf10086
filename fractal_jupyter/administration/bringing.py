"""Documents of an administrator, from their files into the store.

What takes long to import, the checks of documents, is needed for what has changed only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from fractal_jupyter.administration.files import Files, ResourceFiles, is_gone
from fractal_jupyter.administration.placeholders import filled
from fractal_jupyter.administration.reading import look_closely, read_object, refuse
from fractal_jupyter.administration.users import placeholder_values
from fractal_jupyter.errors import AlreadyExists, InvalidDocument
from fractal_jupyter.models.problems import Problem
from fractal_jupyter.store.documents import FromFiles
from fractal_jupyter.store.records import ProfileRecord, ResourceRecord
from fractal_jupyter.store.store import Store

R = TypeVar("R", ResourceRecord, ProfileRecord)
# Checks a document, and returns its name; raises `InvalidDocument`.
Check = Callable[[dict[str, Any]], str]


def bring(store: Store, files: Files) -> list[str]:
    """Bring a store up to date with files; return what cannot be used, and why."""
    problems = list(files.problems)
    values = placeholder_values([file.path for file in files.users], problems)
    resources = _Kind(store.resources, values, problems)
    profiles = _Kind(store.profiles, values, problems)
    for folder in files.resources:
        _bring_folder(folder, resources, profiles)
    # Profiles first: they are what a resource may be needed by.
    profiles.retire()
    resources.retire()
    return problems


def _bring_folder(
    folder: ResourceFiles, resources: _Kind[ResourceRecord], profiles: _Kind[ProfileRecord]
) -> None:
    resource = resources.bring(folder.config, folder.resource.path, _resource_name)
    if resource is None:
        return

    def profile_name(document: dict[str, Any]) -> str:
        return _profile_name(document, resource)

    for file in folder.profiles:
        profiles.bring(folder.config, file.path, profile_name, resource_id=resource.id)


@dataclass(slots=True)
class _Kind(Generic[R]):
    """The resources, or the profiles, of one time of bringing files into a store.

    Attributes:
        rows: Where they are stored.
        values: What stands for placeholders.
        problems: Gets what is wrong with files.
        known: What has come from files before, by file.
        settled: The files that say what is in the store now, or that others outrank.
        kept: The ids of what is in the store on account of these files.
        owners: By name, the file that has it, and the configuration folder that this is in.
    """

    rows: FromFiles[R]
    values: Mapping[str, str]
    problems: list[str]
    known: dict[str, R] = field(init=False)
    settled: set[str] = field(default_factory=set)
    kept: set[int] = field(default_factory=set)
    owners: dict[str, tuple[Path, Path]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = {str(record.source): record for record in self.rows.from_files()}

    def bring(self, config: Path, path: Path, check: Check, **fields: Any) -> R | None:
        """Bring the document in a file into the store.

        Args:
            config: The configuration folder that the file is in.
            path: The file.
            check: Checks the document.
            fields: What else the record has to have.

        Returns:
            The record: as it was before, if the file cannot be used. None where there is none,
            or where another file, or something that the user has added, has the name.
        """
        known = self.known.get(str(path))
        try:
            document = self._read(path)
            same = known is not None and known.document == document
            name = known.name if known and same else self._checked(path, document, check)
            if self._is_outranked(name, config, path):
                return None
            if not known or not same or any(getattr(known, k) != v for k, v in fields.items()):
                known = self.rows.bring(name, str(path), document=document, **fields)
        except InvalidDocument as error:
            self.problems.append(str(error))
            return known
        except AlreadyExists as error:
            self.problems.append(str(error))
            return None
        self.settled.add(str(path))
        self.kept.add(known.id)
        return known

    def retire(self) -> None:
        """Take out of use what no file says any more."""
        for source, record in self.known.items():
            if record.id not in self.kept and (source in self.settled or is_gone(source)):
                self.rows.retire(record)

    def _read(self, path: Path) -> dict[str, Any]:
        wrong: list[Problem] = []
        document: dict[str, Any] = filled(read_object(path, self.rows.noun), self.values, wrong)
        if wrong:
            refuse(path, self.rows.noun, wrong)
        return document

    def _checked(self, path: Path, document: dict[str, Any], check: Check) -> str:
        look_closely(path, self.rows.noun)
        try:
            return check(document)
        except InvalidDocument as error:
            refuse(path, self.rows.noun, error.problems)

    def _is_outranked(self, name: str, config: Path, path: Path) -> bool:
        """Whether a file before this one has the name; it may not be in the same folder."""
        first, owner = self.owners.setdefault(name, (path, config))
        if first == path:
            return False
        self.settled.add(str(path))
        if owner == config:
            self.problems.append(
                f"{path} is passed over: the {self.rows.noun} {name!r} comes from {first} already. "
                "Give one of them another name."
            )
        return True


def _resource_name(document: dict[str, Any]) -> str:
    from fractal_jupyter.models.resource import parse_resource

    return parse_resource(document).name


def _profile_name(document: dict[str, Any], resource: ResourceRecord) -> str:
    from fractal_jupyter.models.documents import invalid
    from fractal_jupyter.models.profile import parse_profile

    profile = parse_profile(document)
    kind = resource.document["type"]
    if profile.resource_type != kind:
        allowed = f'"{kind}", since that is the type of the resource {resource.name!r}'
        raise invalid("The profile", [Problem("resource_type", profile.resource_type, allowed)])
    return profile.name
