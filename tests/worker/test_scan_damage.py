"""Scanning what is damaged or out of reach: a warning each, and everything else is found."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter.worker.scan import scan
from tests.worker.ome_zarr import write_group, write_image, write_json, write_plate


def only_warning(folder: Path) -> str:
    """The only warning of a scan that finds no image."""
    found = scan(str(folder))
    assert found["images"] == []
    assert len(found["warnings"]) == 1
    return str(found["warnings"][0])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"multiscales": [', "damaged: Expecting value"),
        (b"", "damaged: Expecting value"),
        (b"\xff\xfe\x00", "damaged"),
        (b"[1]", "it holds no JSON object"),
        (b"[" * 100_000, "damaged: maximum recursion depth"),
    ],
)
@pytest.mark.parametrize("name", [".zattrs", "zarr.json"])
def test_metadata_that_are_no_json_object(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / name).write_bytes(content)
    warning = only_warning(tmp_path)
    assert warning.startswith(f"{tmp_path}/a.zarr: {name} is damaged")
    assert reason in warning


@pytest.mark.parametrize("attributes", [[], {"ome": 3}])
def test_attributes_that_are_no_object(tmp_path: Path, attributes: Any) -> None:
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (tmp_path / "a.zarr").mkdir()
    write_json(tmp_path / "a.zarr" / "zarr.json", group)
    assert only_warning(tmp_path).endswith(
        "zarr.json is damaged: its attributes are no JSON object"
    )


@pytest.mark.parametrize(
    ("multiscales", "reason"),
    [
        ([], "no list `multiscales[0].datasets`"),
        ({}, "no list `multiscales[0].datasets`"),
        ([None], "no list `multiscales[0].datasets`"),
        ([{"datasets": "0"}], "no list `multiscales[0].datasets`"),
        ([{"datasets": []}], "`multiscales[0].datasets` has no path: null"),
        ([{"datasets": [{"path": 0}]}], "has no path"),
        ([{"datasets": [{"path": "../0"}]}], 'leads out of its folder: "../0"'),
        ([{"datasets": [{"path": "/0"}]}], 'leads out of its folder: "/0"'),
        ([{"datasets": [{"path": "9"}]}], "array `9` is missing"),
        ([{"datasets": [{"path": "0"}], "axes": ["z", "x"]}], "does not fit the image's axes"),
        ([{"datasets": [{"path": "0"}], "axes": "zyx"}], "no valid list `multiscales[0].axes`"),
        ([{"datasets": [{"path": "0"}], "axes": [{}]}], "no valid list `multiscales[0].axes`"),
        ([{"datasets": [{"path": "0"}], "axes": [["z"]]}], "no valid list `multiscales[0].axes`"),
    ],
)
def test_damaged_multiscales(tmp_path: Path, multiscales: Any, reason: str) -> None:
    write_image(tmp_path / "a.zarr", shape=(1, 1, 8, 64, 64))
    write_group(tmp_path / "a.zarr", {"multiscales": multiscales})
    warning = only_warning(tmp_path)
    assert warning.startswith(f"{tmp_path}/a.zarr: ")
    assert reason in warning


@pytest.mark.parametrize("shape", [None, "8", [2, "8", 64, 64], {"z": 8}])
def test_damaged_shape(tmp_path: Path, shape: Any) -> None:
    image = write_image(tmp_path / "a.zarr")
    write_json(image / "0" / ".zarray", {"shape": shape})
    assert "array `0` is missing, or its shape" in only_warning(tmp_path)


@pytest.mark.parametrize(
    ("plate", "reason"),
    [
        (None, "no list `plate.wells`"),
        ({"wells": {}}, "no list `plate.wells`"),
        ({"wells": [{}]}, "an entry of `plate.wells` has no path: {}"),
        ({"wells": ["B/03"]}, "an entry of `plate.wells` has no path"),
        ({"wells": [{"path": "../../etc"}]}, "leads out of its folder"),
    ],
)
def test_damaged_plate(tmp_path: Path, plate: Any, reason: str) -> None:
    write_group(tmp_path / "p.zarr", {"plate": plate})
    assert reason in only_warning(tmp_path)


def test_each_damage_in_a_plate_costs_only_what_is_damaged(tmp_path: Path) -> None:
    wells = {f"A/0{column}": [{"path": "0"}, {"path": "1"}] for column in range(1, 7)}
    plate = write_plate(tmp_path / "p.zarr", wells)
    (plate / "A/01/.zattrs").write_text("{")
    write_group(plate / "A/02", {"well": []})
    (plate / "A/03/0/.zattrs").unlink()
    write_group(plate / "A/04", {"well": {"images": [{"path": "5"}, {"path": "1"}, "x"]}})
    write_group(
        plate / "A/05",
        {"well": {"images": [{"path": "0", "acquisition": "x"}, {"path": "1", "acquisition": 1}]}},
    )
    (plate / "A/06/.zattrs").unlink()

    found = scan(str(tmp_path))

    images = [os.path.relpath(image["zarr_url"], plate) for image in found["images"]]
    assert images == ["A/03/1", "A/04/1", "A/05/1"]
    warnings = [warning.removeprefix(f"{plate}/A/") for warning in found["warnings"]]
    assert [warning.partition(": ")[0] for warning in warnings] == [
        "01",
        "02",
        "03/0",
        "04/5",
        "04",
        "05/0",
        "06",
    ]
    assert "here is no metadata of an image" in warnings[2]
    assert warnings[3] == "04/5: No such file or directory"
    assert warnings[5] == '05/0: its acquisition is no whole number: "x"'
    assert "here is no metadata of a well" in warnings[6]


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    write_image(tmp_path / os.fsdecode(b"caf\xe9.zarr"))
    warning = only_warning(tmp_path)
    assert warning.startswith(f"{tmp_path}/caf\\udce9.zarr: its path is not valid UTF-8")


def test_unreadable_folders(unprivileged: Path) -> None:
    image = write_image(unprivileged / "a.zarr")
    locked = unprivileged / "locked"
    write_image(locked / "b.zarr")
    locked.chmod(0)
    metadata = write_image(unprivileged / "c.zarr") / ".zattrs"
    metadata.chmod(0)

    found = scan(str(unprivileged))

    locked.chmod(0o700)
    assert [entry["zarr_url"] for entry in found["images"]] == [str(image)]
    assert found["warnings"] == [
        f"{unprivileged}/c.zarr: Permission denied",
        f"{locked}: Permission denied",
    ]


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of a user who may not read everything, as root may; the test runs as that user."""
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() != 0:
            yield Path(folder)
            return
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        os.seteuid(nobody.pw_uid)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)
