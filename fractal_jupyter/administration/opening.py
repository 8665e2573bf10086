"""What opening a store does with the files of an administrator: mostly nothing."""

from __future__ import annotations

from dataclasses import dataclass

from fractal_jupyter.administration.bringing import bring
from fractal_jupyter.administration.files import Files, find_files
from fractal_jupyter.store.store import Store


@dataclass(slots=True)
class AdministratorsFiles:
    """The files of an administrator, and the store that they are brought into.

    Attributes:
        store: The store.
        problems: What of them cannot be used, and why, as of the last time.
    """

    store: Store
    problems: tuple[str, ...] = ()
    _seen: Files | None = None

    def bring(self) -> list[str]:
        """Bring the store up to date with the files, if these have changed since the last time.

        Returns:
            What cannot be used, and why. It keeps nobody from anything else, and what came from
            the same file before stays as it was.
        """
        files = find_files()
        if files == self._seen:
            return []
        problems = list(files.problems)
        if files.resources or self._knows_some():
            problems = bring(self.store, files)
        self._seen, self.problems = files, tuple(problems)
        return problems

    @property
    def have_resources(self) -> bool:
        """Whether there were files of resources, right or wrong."""
        return self._seen is not None and bool(self._seen.resources)

    def _knows_some(self) -> bool:
        """Whether the store has something that came from files."""
        return bool(self.store.resources.from_files() or self.store.profiles.from_files())
