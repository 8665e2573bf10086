"""Find OME-Zarr images and HCS plates below a folder, on whatever host sees the data.

Reads metadata only: never a pixel, and no folder below an array, where the chunks are. Knows NGFF
0.1 to 0.4 (Zarr 2: `.zattrs`, `.zarray`) and 0.5 (Zarr 3: `zarr.json`, `attributes.ome`). Each
node's own metadata counts, not consolidated copies of it, which may be stale.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

Attributes = Dict[str, Any]
Tell = Callable[[int, int], object]

# What the Zarr metadata files of a folder are called, the newer format first.
ZARR_3 = "zarr.json"
ZARR_2_GROUP = ".zattrs"
ZARR_2_ARRAY = ".zarray"

# NGFF before 0.3 did not name the axes: they were always these.
DEFAULT_AXES = ("t", "c", "z", "y", "x")


class Damaged(Exception):
    """Metadata that cannot be read, or do not say what NGFF demands; the text says what."""


class Node(NamedTuple):
    """What the metadata of one Zarr group or array say.

    Attributes:
        is_array: Whether it is an array; below it there are only chunks.
        attributes: The NGFF metadata of a group; empty for an array.
        shape: The shape of an array as its metadata have it, unchecked; None for a group.
    """

    is_array: bool
    attributes: Attributes
    shape: Any


class Scan:
    """One walk through a folder; fills `images` and `warnings`.

    Attributes:
        images: Entries of an image list: `zarr_url`, `attributes`, `types`.
        warnings: Sentences about what could not be read and is left out for that.
    """

    def __init__(self, tell: Tell) -> None:
        """Find nothing yet; `tell` gets the numbers of folders and images so far, repeatedly."""
        self._tell = tell
        self.images: List[Dict[str, Any]] = []
        self.warnings: List[str] = []
        self._seen: Set[Tuple[int, int]] = set()

    def run(self, folder: str) -> None:
        """Walk through everything below a folder, the folder included.

        What is reachable without symbolic links is visited first, so that an image which is
        also linked to from elsewhere is listed once, by its own path.
        """
        folders = [folder]
        links: List[str] = []
        while folders or links:
            path = folders.pop() if folders else links.pop(0)
            try:
                if self._is_new(path):
                    self._visit(path, folders, links)
            except (OSError, Damaged) as error:
                self._warn(path, error)

    def _visit(self, path: str, folders: List[str], links: List[str]) -> None:
        """Take a folder for what its metadata say, or note what lies in it for later."""
        node = read_node(path)
        metadata = node.attributes if node else {}
        if "plate" in metadata:
            self._add_plate(path, metadata["plate"])
        elif "well" in metadata:
            row_folder, column = os.path.split(path)
            attributes = well_attributes(os.path.basename(row_folder), column)
            self._add_well(path, metadata["well"], attributes)
        elif "multiscales" in metadata:
            if "image-label" not in metadata:
                self._add_image(path, metadata, {})
        elif "labels" not in metadata and not (node and node.is_array):
            self._list(path, folders, links)

    def _list(self, path: str, folders: List[str], links: List[str]) -> None:
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                # Hidden folders hold caches and a file server's snapshots of everything else.
                if entry.name.startswith("."):
                    continue
                if not entry.is_symlink():
                    if entry.is_dir():
                        folders.append(entry.path)
                elif os.path.isdir(entry.path):
                    if is_within(os.path.realpath(path), os.path.realpath(entry.path)):
                        self._warn(entry.path, "a symbolic link to a folder that it lies in")
                    else:
                        links.append(entry.path)

    def _add_plate(self, path: str, plate: Any) -> None:
        name = os.path.basename(path)
        for well in entries_of(plate, "wells", "plate"):
            relative = None
            try:
                relative = path_of(well, "plate.wells")
                row, _, column = relative.partition("/")
                url = f"{path}/{relative}"
                node = read_node(url)
                if node is None or "well" not in node.attributes:
                    raise Damaged("the plate lists this well, but here is no metadata of a well")
                attributes = {"plate": name, **well_attributes(row, column)}
                self._add_well(url, node.attributes["well"], attributes)
            except (OSError, Damaged) as error:
                self._warn(f"{path}/{relative}" if relative else path, error)

    def _add_well(self, path: str, well: Any, attributes: Attributes) -> None:
        for image in entries_of(well, "images", "well"):
            url = path
            try:
                url = f"{path}/{path_of(image, 'well.images')}"
                if not self._is_new(url):
                    continue
                node = read_node(url)
                if node is None or "multiscales" not in node.attributes:
                    raise Damaged("the well lists this image, but here is no metadata of an image")
                self._add_image(url, node.attributes, {**attributes, **acquisition_of(image)})
            except (OSError, Damaged) as error:
                self._warn(url, error)

    def _add_image(self, path: str, metadata: Attributes, attributes: Attributes) -> None:
        if not is_unicode(path):
            raise Damaged("its path is not valid UTF-8; rename it to use it")
        types = {"is_3D": is_3d(path, metadata["multiscales"])}
        self.images.append({"zarr_url": path, "attributes": attributes, "types": types})

    def _is_new(self, path: str) -> bool:
        """Whether the folder has not been met before, by this or by any other path."""
        status = os.stat(path)
        identity = (status.st_dev, status.st_ino)
        is_new = identity not in self._seen
        self._seen.add(identity)
        self._tell(len(self._seen), len(self.images))
        return is_new

    def _warn(self, path: str, problem: object) -> None:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        self.warnings.append(f"{printable(path)}: {reason}")


def read_node(path: str) -> Optional[Node]:
    """Read the metadata of the Zarr group or array in a folder; None when it is neither.

    Raises:
        Damaged: The metadata are no JSON object.
        OSError: They cannot be read.
    """
    document = read_json(os.path.join(path, ZARR_3))
    if document is not None:
        if document.get("node_type") == "array":
            return Node(True, {}, document.get("shape"))
        attributes = document.get("attributes", {})
        ngff = attributes.get("ome", {}) if isinstance(attributes, dict) else None
        if not isinstance(ngff, dict):
            raise Damaged(f"{ZARR_3} is damaged: its attributes are no JSON object")
        return Node(False, ngff, None)
    array = read_json(os.path.join(path, ZARR_2_ARRAY))
    if array is not None:
        return Node(True, {}, array.get("shape"))
    group = read_json(os.path.join(path, ZARR_2_GROUP))
    return None if group is None else Node(False, group, None)


def read_json(path: str) -> Optional[Dict[str, Any]]:
    """Read a JSON object from a file; None when there is no such file."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{os.path.basename(path)} is damaged: {error}") from error
    if not isinstance(document, dict):
        raise Damaged(f"{os.path.basename(path)} is damaged: it holds no JSON object")
    return document


def entries_of(parent: Any, key: str, name: str) -> Iterator[Any]:
    """Iterate over a list in the metadata."""
    entries = parent.get(key) if isinstance(parent, dict) else None
    if not isinstance(entries, list):
        raise Damaged(f"the metadata have no list `{name}.{key}`")
    return iter(entries)


def path_of(entry: Any, name: str) -> str:
    """Return the relative path that an entry of the metadata names; never one that leads out."""
    path = entry.get("path") if isinstance(entry, dict) else None
    if not isinstance(path, str) or not path.strip("/"):
        raise Damaged(f"an entry of `{name}` has no path: {json.dumps(entry)[:100]}")
    if path.startswith("/") or ".." in path.split("/"):
        raise Damaged(f"an entry of `{name}` leads out of its folder: {json.dumps(path)[:100]}")
    return path.rstrip("/")


def is_3d(path: str, multiscales: Any) -> bool:
    """Whether an image has more than one plane along z, as its largest array says.

    An axis z of length one makes no 3D image: tasks that want one would find nothing to do.
    """
    first = multiscales[0] if isinstance(multiscales, list) and multiscales else None
    dataset = next(entries_of(first, "datasets", "multiscales[0]"), None)
    axes = axis_names(first)
    if "z" not in axes:
        return False
    relative = path_of(dataset, "multiscales[0].datasets")
    node = read_node(f"{path}/{relative}")
    shape = node.shape if node is not None else None
    planes = shape[axes.index("z")] if isinstance(shape, list) and len(shape) == len(axes) else None
    if not isinstance(planes, int):
        raise Damaged(f"array `{relative}` is missing, or its shape does not fit the image's axes")
    return planes > 1


def axis_names(multiscale: Any) -> List[str]:
    """Return the names of an image's axes: objects since NGFF 0.4, strings in 0.3, implied before.

    Raises:
        Damaged: There are axes, but not of any of these forms.
    """
    axes = multiscale.get("axes", DEFAULT_AXES)
    if isinstance(axes, (list, tuple)):
        names = [axis.get("name") if isinstance(axis, dict) else axis for axis in axes]
        if all(isinstance(name, str) for name in names):
            return [str(name).lower() for name in names]
    raise Damaged("the metadata have no valid list `multiscales[0].axes`")


def acquisition_of(image: Attributes) -> Attributes:
    """Return the attribute `acquisition` of an image of a well, when the well's metadata give it.

    Raises:
        Damaged: It is no whole number.
    """
    acquisition = image.get("acquisition")
    if acquisition is None:
        return {}
    if not isinstance(acquisition, int) or isinstance(acquisition, bool):
        raise Damaged(f"its acquisition is no whole number: {json.dumps(acquisition)[:100]}")
    return {"acquisition": acquisition}


def well_attributes(row: str, column: str) -> Attributes:
    """Return the attributes of a well, its name with two digits, as Fractal tasks write it."""
    column = os.path.basename(column)
    number = f"{int(column):02d}" if column.isdecimal() else column
    return {"well": f"{row}{number}", "row": row, "column": column}


def is_within(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies below it; both absolute and without links."""
    return (path + os.sep).startswith(folder.rstrip(os.sep) + os.sep)


def is_unicode(text: str) -> bool:
    """Whether a path can be written in UTF-8, as image lists and arguments of tasks are."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(path: str) -> str:
    """Return a path with the bytes that are not UTF-8 spelled out."""
    return path.encode(errors="backslashreplace").decode()


def natural_key(image: Dict[str, Any]) -> List[Any]:
    """Sort key of an image by its path, in which 9 comes before 10."""
    parts = re.split(r"(\d+)", image["zarr_url"])
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def scan(folder: str, tell: Tell = lambda _folders, _images: None) -> Dict[str, List[Any]]:
    """Find the OME-Zarr images below a folder, in plates and outside of them.

    Args:
        folder: The folder to look in; may be a plate, a well or an image itself. Hidden folders
            below it are passed over. Symbolic links are followed; what is met twice counts once.
        tell: Gets, again and again, how many folders were looked at, and images found, so far.

    Returns:
        `images`: entries of an image list in natural order, each with `zarr_url` (absolute path),
        `attributes` (in a plate: `plate`, the name of its folder; `well`, such as "B03"; `row` and
        `column` as in its metadata; `acquisition`, where given) and `types` (`is_3D`).
        `warnings`: a sentence for each thing that could not be read and was left out.

    Raises:
        OSError: The folder itself is missing or unreadable.
    """
    folder = os.path.abspath(folder)
    os.scandir(folder).close()
    result = Scan(tell)
    result.run(folder)
    return {"images": sorted(result.images, key=natural_key), "warnings": sorted(result.warnings)}


def main(argv: Sequence[str]) -> int:
    """Print what is found below the folder given as one JSON document; return the exit status."""
    if len(argv) != 1:
        sys.stderr.write("usage: scan FOLDER\n")
        return 2
    try:
        found = scan(argv[0])
    except OSError as error:
        sys.stderr.write(f"Cannot scan {printable(argv[0])}: {error.strerror}\n")
        return 1
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
