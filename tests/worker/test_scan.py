"""Scanning: OME-Zarr as real writers make it, and by hand what they do not make."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter.worker.scan import main, scan
from tests.worker.ome_zarr import image_metadata, write_group, write_image, write_plate

NGFF = ("0.4", "0.5")


def urls(folder: Path) -> list[str]:
    """Relative paths of the images found, which must be all without a warning."""
    found = scan(str(folder))
    assert found["warnings"] == []
    return [os.path.relpath(image["zarr_url"], folder) for image in found["images"]]


# What real writers make


@pytest.mark.parametrize("ngff", NGFF)
@pytest.mark.parametrize("separator", ["/", "."])
@pytest.mark.parametrize(
    ("shape", "axes", "three_d"),
    [
        ((2, 4, 32, 32), "czyx", True),
        ((2, 1, 32, 32), "czyx", False),
        ((32, 32), "yx", False),
        ((3, 32, 32), "cyx", False),
        ((3, 4, 32, 32), "tzyx", True),
    ],
)
def test_images_of_ngio(
    tmp_path: Path, ngff: Any, separator: Any, shape: tuple[int, ...], axes: str, three_d: bool
) -> None:
    import ngio

    url = tmp_path / "image.zarr"
    container = ngio.create_empty_ome_zarr(
        store=url,
        shape=shape,
        axes_names=list(axes),
        pixelsize=0.5,
        levels=2,
        ngff_version=ngff,
        dimension_separator=separator,
    )
    container.derive_label("nuclei")
    container.add_table("rois", container.build_image_roi_table())
    # the definition that the tasks themselves go by
    assert container.is_3d == three_d

    assert scan(str(tmp_path)) == {
        "images": [{"zarr_url": str(url), "attributes": {}, "types": {"is_3D": three_d}}],
        "warnings": [],
    }


@pytest.mark.parametrize("ngff", NGFF)
@pytest.mark.parametrize("consolidated", [False, True])
def test_plate_of_ngio(tmp_path: Path, ngff: Any, consolidated: bool) -> None:
    import ngio
    import numpy as np
    import zarr

    images = [
        ngio.ImageInWellPath(row=row, column=column, path=path, acquisition_id=acquisition)
        for row, column in [("A", "01"), ("B", "03"), ("B", "12")]
        for path, acquisition in [("0", 0), ("1", 1)]
    ]
    folder = tmp_path / "plate.zarr"
    ngio.create_empty_plate(store=folder, name="x", images=images, ngff_version=ngff)
    for image in images:
        path = f"{image.row}/{image.column}/{image.path}"
        ngio.create_ome_zarr_from_array(
            store=folder / path,
            array=np.zeros((2, 3, 16, 16), np.uint16),
            axes_names=list("czyx"),
            pixelsize=0.5,
            levels=1,
            ngff_version=ngff,
        )
    if consolidated:
        zarr.consolidate_metadata(folder)

    found = scan(str(tmp_path))

    assert found["warnings"] == []
    assert [image["zarr_url"] for image in found["images"]] == [
        f"{folder}/{path}" for path in ("A/01/0", "A/01/1", "B/03/0", "B/03/1", "B/12/0", "B/12/1")
    ]
    assert found["images"][3] == {
        "zarr_url": f"{folder}/B/03/1",
        "attributes": {
            "plate": "plate.zarr",
            "well": "B03",
            "row": "B",
            "column": "03",
            "acquisition": 1,
        },
        "types": {"is_3D": True},
    }
    assert found["images"][0]["attributes"]["well"] == "A01"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_of_zarr_are_not_entered(tmp_path: Path, zarr_format: Any) -> None:
    import zarr

    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(4, 4), chunks=(1, 1), dtype="u1", zarr_format=zarr_format
    )
    array[:] = 1
    # an image among the chunks would be found if they were looked at
    write_image(tmp_path / "a.zarr" / "c" / "hidden.zarr")
    write_image(tmp_path / "a.zarr" / "hidden.zarr")

    assert urls(tmp_path) == []


# What counts as an image, and what it is called


@pytest.mark.parametrize("ngff", NGFF)
def test_folder_itself_may_be_an_image_a_well_or_a_plate(tmp_path: Path, ngff: str) -> None:
    plate = write_plate(tmp_path / "p.zarr", {"B/03": [{"path": "0"}]}, ngff=ngff)
    in_well = {"well": "B03", "row": "B", "column": "03"}

    for folder, attributes in [
        (plate, {"plate": "p.zarr", **in_well}),
        (plate / "B", in_well),
        (plate / "B" / "03", in_well),
        (plate / "B" / "03" / "0", {}),
    ]:
        images = scan(f"{folder}/")["images"]
        assert images == [
            {"zarr_url": f"{plate}/B/03/0", "attributes": attributes, "types": {"is_3D": True}}
        ]


def test_relative_folder_gives_absolute_urls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "data" / "a.zarr")
    monkeypatch.chdir(tmp_path)
    assert scan("data")["images"][0]["zarr_url"] == f"{tmp_path}/data/a.zarr"


@pytest.mark.parametrize("ngff", NGFF)
def test_labels_and_tables_are_no_images(tmp_path: Path, ngff: str) -> None:
    image = write_image(tmp_path / "a.zarr", ngff=ngff)
    write_group(image / "labels", {"labels": ["nuclei"]}, ngff=ngff)
    write_image(image / "labels" / "nuclei", ngff=ngff)
    lone_label = write_image(tmp_path / "label.zarr", ngff=ngff)
    write_group(lone_label, {**image_metadata(), "image-label": {}}, ngff=ngff)

    assert urls(tmp_path) == ["a.zarr"]
    assert urls(image / "labels") == []


def test_images_below_groups_and_plain_folders(tmp_path: Path) -> None:
    write_group(tmp_path / "converted.zarr", {"bioformats2raw.layout": 3})
    write_image(tmp_path / "converted.zarr" / "0")
    write_image(tmp_path / "converted.zarr" / "1")
    write_group(tmp_path / "converted.zarr" / "OME", {"series": ["0", "1"]})
    write_image(tmp_path / "x" / "y" / "a.zarr")

    assert urls(tmp_path) == ["converted.zarr/0", "converted.zarr/1", "x/y/a.zarr"]


def test_order_is_natural(tmp_path: Path) -> None:
    for name in ("image10", "image9", "image1", "a2b10", "a2b9", "10", "9"):
        write_image(tmp_path / name)
    assert urls(tmp_path) == ["9", "10", "a2b9", "a2b10", "image1", "image9", "image10"]


def test_hidden_folders_are_passed_over(tmp_path: Path) -> None:
    write_image(tmp_path / ".snapshot" / "daily" / "a.zarr")
    write_image(tmp_path / "a.zarr")
    assert urls(tmp_path) == ["a.zarr"]
    assert urls(tmp_path / ".snapshot") == ["daily/a.zarr"]


@pytest.mark.parametrize(
    ("axes", "shape", "three_d"),
    [
        (None, (1, 2, 8, 64, 64), True),
        (None, (1, 2, 1, 64, 64), False),
        (["t", "z", "y", "x"], (1, 8, 64, 64), True),
        ([{"name": "Z"}, {"name": "Y"}, {"name": "X"}], (8, 64, 64), True),
        ([{"name": "c"}, {"name": "y"}, {"name": "x"}], (8, 64, 64), False),
    ],
)
def test_axes_of_every_version(
    tmp_path: Path, axes: Any, shape: tuple[int, ...], three_d: bool
) -> None:
    image = write_image(tmp_path / "a.zarr", shape=shape)
    multiscale = {"datasets": [{"path": "0"}], **({} if axes is None else {"axes": axes})}
    write_group(image, {"multiscales": [multiscale]})
    assert scan(str(tmp_path))["images"][0]["types"] == {"is_3D": three_d}


def test_acquisition_only_where_given(tmp_path: Path) -> None:
    images: list[dict[str, Any]] = [
        {"path": "0"},
        {"path": "1", "acquisition": 7},
        {"path": "2", "acquisition": None},
    ]
    write_plate(tmp_path / "p.zarr", {"B/03": images})
    found = scan(str(tmp_path))
    assert found["warnings"] == []
    acquisitions = [image["attributes"].get("acquisition", "none") for image in found["images"]]
    assert acquisitions == ["none", 7, "none"]


def test_column_that_is_no_number(tmp_path: Path) -> None:
    write_plate(tmp_path / "p.zarr", {"AA/x7": [{"path": "0"}]})
    attributes = scan(str(tmp_path))["images"][0]["attributes"]
    assert attributes == {"plate": "p.zarr", "well": "AAx7", "row": "AA", "column": "x7"}


# Links


def test_image_that_is_linked_to_is_listed_once_by_its_own_path(tmp_path: Path) -> None:
    write_image(tmp_path / "z" / "image.zarr")
    (tmp_path / "a").symlink_to("z")
    (tmp_path / "b.zarr").symlink_to("z/image.zarr")
    assert urls(tmp_path) == ["z/image.zarr"]


def test_images_elsewhere_are_found_through_links(tmp_path: Path) -> None:
    write_image(tmp_path / "archive" / "image.zarr")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "archive")
    assert urls(tmp_path / "data") == ["linked/image.zarr"]


def test_link_to_a_parent_is_reported(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "image.zarr")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    found = scan(str(tmp_path))
    assert len(found["images"]) == 1
    assert found["warnings"] == [f"{tmp_path}/a/up: a symbolic link to a folder that it lies in"]


def test_links_that_lead_nowhere_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to("missing")
    (tmp_path / "self").symlink_to("self")
    assert urls(tmp_path) == []


# The command


def test_command_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(tmp_path / "ümlaut.zarr")
    assert main([str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert output.isascii()
    assert json.loads(output)["images"][0]["zarr_url"] == f"{tmp_path}/ümlaut.zarr"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["missing"], 1, "Cannot scan missing: No such file or directory\n"),
        (["file"], 1, "Cannot scan file: Not a directory\n"),
        ([], 2, "usage: scan FOLDER\n"),
    ],
)
def test_command_refuses_what_is_no_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(arguments) == status
    assert capsys.readouterr().err == message


# Large trees


@pytest.mark.parametrize("ngff", NGFF)
def test_chunks_are_never_looked_at(tmp_path: Path, ngff: str) -> None:
    image = write_image(tmp_path / "a.zarr", ngff=ngff)
    (image / "0" / "c" / "0").mkdir(parents=True)

    looked_at = paths_looked_at(tmp_path)

    assert looked_at
    assert not [path for path in looked_at if path.startswith(f"{image}/0/c")]


def test_effort_grows_with_the_number_of_images(tmp_path: Path) -> None:
    for name, fields in (("few", 5), ("many", 50)):
        wells = {f"B/{column}": [{"path": str(n)} for n in range(fields)] for column in range(4)}
        write_plate(tmp_path / name, wells)

    few, many = (len(paths_looked_at(tmp_path / name)) for name in ("few", "many"))

    assert many <= 10 * few


def paths_looked_at(folder: Path) -> list[str]:
    """Every file opened and folder listed while scanning."""
    paths: list[str] = []
    watching = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in ("open", "os.scandir"):
            paths.append(str(arguments[0]))

    sys.addaudithook(hook)
    scan(str(folder))
    watching = False
    return paths
