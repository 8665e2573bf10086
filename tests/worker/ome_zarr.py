"""OME-Zarr metadata written by hand: just what a scan reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CZYX = ("c", "z", "y", "x")


def write_group(folder: Path, metadata: dict[str, Any], *, ngff: str = "0.4") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if ngff == "0.4":
        write_json(folder / ".zgroup", {"zarr_format": 2})
        write_json(folder / ".zattrs", metadata)
    else:
        attributes = {"ome": {"version": "0.5", **metadata}}
        group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        write_json(folder / "zarr.json", group)


def write_array(folder: Path, shape: tuple[int, ...], *, ngff: str = "0.4") -> None:
    folder.mkdir(parents=True)
    if ngff == "0.4":
        write_json(folder / ".zarray", {"zarr_format": 2, "shape": shape})
    else:
        array = {"zarr_format": 3, "node_type": "array", "shape": shape}
        write_json(folder / "zarr.json", array)


def write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document))


def image_metadata(axes: tuple[str, ...] = CZYX) -> dict[str, Any]:
    return {
        "multiscales": [{"axes": [{"name": name} for name in axes], "datasets": [{"path": "0"}]}]
    }


def write_image(
    folder: Path,
    *,
    shape: tuple[int, ...] = (2, 8, 64, 64),
    axes: tuple[str, ...] = CZYX,
    ngff: str = "0.4",
) -> Path:
    write_group(folder, image_metadata(axes), ngff=ngff)
    write_array(folder / "0", shape, ngff=ngff)
    return folder


def write_plate(folder: Path, wells: dict[str, list[dict[str, Any]]], *, ngff: str = "0.4") -> Path:
    metadata = {"plate": {"wells": [{"path": path} for path in wells]}}
    write_group(folder, metadata, ngff=ngff)
    for path, images in wells.items():
        write_group(folder / path, {"well": {"images": images}}, ngff=ngff)
        for image in images:
            write_image(folder / path / image["path"], ngff=ngff)
    return folder
