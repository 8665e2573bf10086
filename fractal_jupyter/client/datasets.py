"""Datasets: OME-Zarr images, as a list that tasks change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from fractal_jupyter.client.listing import Brief, Listing, Shown
from fractal_jupyter.display.page import Page
from fractal_jupyter.display.words import counted
from fractal_jupyter.errors import InvalidArguments, InvalidDocument
from fractal_jupyter.models.images import (
    Image,
    is_below,
    normalize_url,
    parse_images,
)
from fractal_jupyter.models.profile import parse_profile
from fractal_jupyter.models.resource import parse_resource
from fractal_jupyter.store.records import DatasetRecord, ProfileRecord
from fractal_jupyter.store.store import Store

SHOWN_AT_EACH_END = 5


class Images(Shown, Sequence[Image]):
    """The image list of a dataset, read from the store as it is asked for."""

    def __init__(self, store: Store, dataset: DatasetRecord) -> None:
        self._store = store
        self._dataset = dataset

    def __len__(self) -> int:
        return self._store.datasets.count_images(self._dataset.id)

    @overload
    def __getitem__(self, index: int) -> Image: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Image]: ...

    def __getitem__(self, index: int | slice) -> Image | Sequence[Image]:
        """The image at a position, or a list of some."""
        if isinstance(index, slice):
            return self._store.datasets.images(self._dataset.id)[index]
        count = len(self)
        position = index + count if index < 0 else index
        if not 0 <= position < count:
            raise IndexError(f"The dataset has {counted(count, 'image')}; number {index} is none.")
        return self._store.datasets.images(self._dataset.id, offset=position, limit=1)[0]

    def __iter__(self) -> Any:
        return iter(self._store.datasets.images(self._dataset.id))

    def _ends(self) -> tuple[list[Image], int]:
        total = len(self)
        first = self._store.datasets.images(self._dataset.id, limit=SHOWN_AT_EACH_END)
        rest = max(0, min(SHOWN_AT_EACH_END, total - SHOWN_AT_EACH_END))
        last = self._store.datasets.images(self._dataset.id, offset=total - rest, limit=rest)
        return first + last, total

    def _page(self) -> Page:
        from fractal_jupyter.display.images import images_page

        shown, total = self._ends()
        return images_page(
            shown, total=total, dataset=self._dataset.name, zarr_dir=self._dataset.zarr_dir
        )


class Dataset(Brief):
    """One dataset."""

    def __init__(
        self,
        store: Store,
        record: DatasetRecord,
        in_use: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Make it; `in_use` names the profile that is used where none is given."""
        self._store = store
        self._record = record
        self._in_use = in_use

    @property
    def name(self) -> str:
        """The unique name."""
        return self._record.name

    @property
    def zarr_dir(self) -> str:
        """The folder below which all images of the dataset are."""
        return self._record.zarr_dir

    @property
    def project_dir(self) -> str:
        """The folder that tasks may use for caches (`<project_dir>/.fractal_cache`)."""
        return self._record.project_dir

    @property
    def images(self) -> Images:
        """The image list."""
        return Images(self._store, self._record)

    def add_images(self, images: Iterable[Mapping[str, Any] | Image]) -> Images:
        """Add images at the end of the list.

        Args:
            images: `{"zarr_url", "origin"?, "attributes"?, "types"?}` each.

        Raises:
            InvalidDocument: An image is wrong, or not below `zarr_dir`; none is added.
            AlreadyExists: The dataset has one of them; none is added.
        """
        parsed = parse_images(images)
        outside = [i.zarr_url for i in parsed if not is_below(i.zarr_url, self.zarr_dir)]
        if outside:
            more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
            raise InvalidDocument(
                f"{outside[0]}{more}: images of the dataset {self.name!r} must be below its "
                f"zarr_dir, {self.zarr_dir}. No image was added."
            )
        self._store.datasets.add_images(self._record.id, parsed)
        return self.images

    def update_images(self, images: Iterable[Mapping[str, Any] | Image]) -> Images:
        """Replace origin, attributes and types of images that the dataset has."""
        self._store.datasets.update_images(self._record.id, parse_images(images))
        return self.images

    def remove_images(self, zarr_urls: Iterable[str]) -> int:
        """Take images off the list (their files stay); return how many were on it."""
        urls = [_url(url) for url in ([zarr_urls] if isinstance(zarr_urls, str) else zarr_urls)]
        return self._store.datasets.remove_images(self._record.id, urls)

    def scan(
        self, folder: str | Path | None = None, *, profile: str | None = None
    ) -> Listing[Image]:
        """Look for OME-Zarr images and plates, and add those that are not on the list.

        Args:
            folder: Where to look; by default all of `zarr_dir`.
            profile: On whose machine to look; by default that of the profile in use. Profiles of
                `slurm_ssh` resources look on the cluster, all others on this machine.

        Returns:
            The images that were added. Folders that could not be read are warned of.

        Raises:
            FileMissing: The folder is not there.
            HostError: It cannot be read.
        """
        import warnings

        from fractal_jupyter.display.progress import DRAW_SECONDS, Progress

        with Progress(f"Scanning {folder or self.zarr_dir}", at_once=False) as progress:
            told = 0.0

            def tell(folders: int, images: int) -> None:
                nonlocal told
                if time.monotonic() - told > DRAW_SECONDS:
                    told = time.monotonic()
                    so_far = f"{counted(folders, 'folder')}, {counted(images, 'image')} so far"
                    progress.log(so_far)

            new, count, troubles = self._scan(folder, profile, tell=tell)
            progress.done(f"{counted(count, 'image')}, {len(new):,} of them new")
        for trouble in troubles:
            warnings.warn(trouble, stacklevel=2)
        found = counted(count, "image")
        empty = f"Nothing new: the list has the {found} found." if count else "No images found."
        return self._listing(new, empty=empty)

    def _scan(
        self,
        folder: str | Path | None,
        profile: str | None,
        *,
        tell: Callable[[int, int], object] = lambda _folders, _images: None,
    ) -> tuple[list[Image], int, list[str]]:
        """Look for images; the new ones, how many there are, and what could not be read."""
        from fractal_jupyter.runner.scanning import scan

        record = self._profile(profile)
        resource = None if record is None else self._store.resources.by_id(record.resource_id)
        found = scan(
            str(folder or self.zarr_dir),
            resource=None if resource is None else parse_resource(resource.document),
            profile=None if record is None else parse_profile(record.document),
            tell=tell,
        )
        images = parse_images(found["images"])
        known = self._store.datasets.find_images(
            self._record.id, [image.zarr_url for image in images]
        )
        new = [image for image in images if image.zarr_url not in known]
        self.add_images(new)
        return new, len(images), [str(warning) for warning in found["warnings"]]

    def browser(self) -> Any:
        """A widget that shows the image list a page at a time, by attributes and types."""
        from fractal_jupyter.client.opening import open_widget

        return open_widget("DatasetBrowser", self)

    def _profile(self, name: str | None) -> ProfileRecord | None:
        name = name or self._in_use()
        return None if name is None else self._store.profiles.get(name)

    def _listing(self, images: Sequence[Image], *, empty: str) -> Listing[Image]:
        from fractal_jupyter.display.images import images_page

        def ends(items: Sequence[Image]) -> Sequence[Image]:
            if len(items) <= 2 * SHOWN_AT_EACH_END:
                return items
            return [*items[:SHOWN_AT_EACH_END], *items[-SHOWN_AT_EACH_END:]]

        where = {"dataset": self.name, "zarr_dir": self.zarr_dir, "noun": "new image"}
        where["empty"] = empty
        return Listing(
            images,
            page=lambda items: images_page(ends(items), total=len(items), **where),
        )

    def _line(self) -> str:
        return f"<Dataset {self.name!r}, {counted(len(self.images), 'image')} in {self.zarr_dir}>"

    def _page(self) -> Page:
        from fractal_jupyter.display.images import dataset_page

        shown, total = self.images._ends()
        return dataset_page(self._record, shown, total=total)


def _url(text: str) -> str:
    try:
        return normalize_url(text)
    except (ValueError, AttributeError):
        raise InvalidArguments(
            f"{text!r} is not the URL of an image: an absolute path, or an S3 URL."
        ) from None


class Datasets:
    """All datasets of the store."""

    def __init__(self, store: Store, in_use: Callable[[], str | None] = lambda: None) -> None:
        """Make it; `in_use` names the profile that is used where none is given."""
        self._store = store
        self._in_use = in_use

    def create(
        self,
        name: str,
        *,
        zarr_dir: str | Path,
        project_dir: str | Path | None = None,
        exist_ok: bool = False,
    ) -> Dataset:
        """Make a dataset without images; see `Dataset.scan` and `Dataset.add_images`.

        Args:
            name: A new, unique name.
            zarr_dir: Absolute path (or S3 URL) below which all its images are and will be.
            project_dir: Where tasks may keep caches; by default `zarr_dir`.
            exist_ok: Whether to return the dataset of this name, when its folders are these; for
                cells that are run again. It keeps its images.

        Raises:
            InvalidDocument: A path is not absolute.
            AlreadyExists: The name is taken; with `exist_ok`, by a dataset of other folders.
        """
        if not name.strip():
            raise InvalidDocument("A dataset needs a name.")
        urls = {"zarr_dir": str(zarr_dir), "project_dir": str(project_dir or zarr_dir)}
        for field, url in urls.items():
            try:
                urls[field] = normalize_url(url)
            except ValueError as error:
                raise InvalidDocument(
                    f"{field} of the dataset {name!r}: found {url!r}, allowed is {error}. "
                    "(A relative path would mean another folder in the job.)"
                ) from error
        datasets = self._store.datasets
        record = (
            datasets.add_unless_same(name, lambda: datasets.add(name, **urls), **urls)
            if exist_ok
            else datasets.add(name, **urls)
        )
        return Dataset(self._store, record, self._in_use)

    def list(self) -> Listing[Dataset]:
        """All datasets, the oldest first."""
        from fractal_jupyter.display.images import datasets_page

        def rows(items: Sequence[Dataset]) -> Sequence[tuple[DatasetRecord, int]]:
            return [(item._record, len(item.images)) for item in items]

        return Listing(
            (Dataset(self._store, record, self._in_use) for record in self._store.datasets.all()),
            page=lambda items: datasets_page(rows(items)),
        )

    def get(self, name: str) -> Dataset:
        """The dataset called `name`; raises `NotFound`."""
        return Dataset(self._store, self._store.datasets.get(name), self._in_use)

    def remove(self, name: str) -> None:
        """Forget a dataset and its list (files stay); raises `InUse` while jobs belong to it."""
        self._store.datasets.remove(self._store.datasets.get(name))

    def __repr__(self) -> str:
        return repr(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()
