"""Documents of an administrator, from their files into the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fractal_jupyter.administration.files import File, Files, ResourceFiles, is_gone
from fractal_jupyter.administration.placeholders import filled
from fractal_jupyter.administration.users import placeholder_values
from fractal_jupyter.errors import AlreadyExists, InvalidDocument
from fractal_jupyter.models.documents import invalid, read_document
from fractal_jupyter.models.problems import Problem
from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.resource import parse_resource
from fractal_jupyter.store.documents import FromFiles
from fractal_jupyter.store.records import ProfileRecord, ResourceRecord
from fractal_jupyter.store.store import Store

R = TypeVar("R", ResourceRecord, ProfileRecord)


def bring(store: Store, files: Files) -> list[str]:
    """Bring a store up to date with files; return what cannot be used, and why."""
    return _Bringing(store, files).run()


@dataclass(slots=True)
class _Bringing:
    """One time of bringing files into a store.

    Attributes:
        store: The store.
        files: The files.
        values: What stands for placeholders.
        problems: What was found to be wrong.
        read: The files whose documents are now in the store, or outranked by others.
        kept: What is in the store on account of a file.
        owners: By noun and name: which configuration folder has it, and in which file.
    """

    store: Store
    files: Files
    values: Mapping[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    kept: set[tuple[str, int]] = field(default_factory=set)
    owners: dict[tuple[str, str], tuple[Path, Path]] = field(default_factory=dict)

    def run(self) -> list[str]:
        self.values = placeholder_values((file.path for file in self.files.users), self.problems)
        for folder in self.files.resources:
            self._bring_folder(folder)
        self._retire(self.store.profiles)
        self._retire(self.store.resources)
        return self.problems

    def _bring_folder(self, folder: ResourceFiles) -> None:
        resources = self.store.resources
        source = str(folder.resource.path)
        try:
            resource = self._bring(resources, folder.config, folder.resource, parse_resource)
        except InvalidDocument as error:
            self.problems.append(str(error))
            # As it was before: its profiles may have changed.
            resource = resources.find_source(source)
        if resource is None:
            return
        for file in folder.profiles:
            try:
                self._bring(
                    self.store.profiles,
                    folder.config,
                    file,
                    lambda document: _profile(document, resource),
                    resource_id=resource.id,
                )
            except InvalidDocument as error:
                self.problems.append(str(error))

    def _bring(
        self,
        rows: FromFiles[R],
        config: Path,
        file: File,
        parse: Callable[[dict[str, Any]], Any],
        **values: Any,
    ) -> R | None:
        """Bring one document.

        Returns:
            The record; None when another file, or something that the user has added, has the name.

        Raises:
            InvalidDocument: The file cannot be used; says which, and which field.
        """
        noun, path = rows.noun, file.path
        document = self._document(path, noun)
        known = rows.find_source(str(path))
        same = known is not None and known.document == document
        if known is not None and same:
            name = known.name
        else:
            try:
                name = parse(document).name
            except InvalidDocument as error:
                raise invalid(f"The {noun} in {path}", list(error.problems)) from None
        owner, outranking = self.owners.setdefault((noun, name), (config, path))
        if outranking != path:
            self.read.add(str(path))
            if owner == config:
                self.problems.append(
                    f"{path} is passed over: the {noun} {name!r} comes from {outranking} already. "
                    "Give one of them another name."
                )
            return None
        if known is None or not same or any(getattr(known, k) != v for k, v in values.items()):
            try:
                known = rows.bring(name, str(path), document=document, **values)
            except AlreadyExists as error:
                self.problems.append(str(error))
                return None
        self.read.add(str(path))
        self.kept.add((noun, known.id))
        return known

    def _document(self, path: Path, noun: str) -> dict[str, Any]:
        wrong: list[Problem] = []
        given = read_document(path, noun=noun)
        document: dict[str, Any] = filled(given, self.values, wrong)
        if wrong:
            raise invalid(f"The {noun} in {path}", wrong)
        return document

    def _retire(self, rows: FromFiles[R]) -> None:
        """Take out of use what no file says any more."""
        for record in rows.from_files():
            source = str(record.source)
            if (rows.noun, record.id) not in self.kept and (source in self.read or is_gone(source)):
                rows.retire(record)


def _profile(document: dict[str, Any], resource: ResourceRecord) -> Any:
    profile = parse_profile(document)
    kind = resource.document["type"]
    if profile.resource_type != kind:
        allowed = f'"{kind}", since that is the type of the resource {resource.name!r}'
        raise invalid("", [Problem("resource_type", profile.resource_type, allowed)])
    return profile
