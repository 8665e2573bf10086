from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fractal_jupyter.errors import InvalidDocument, InvalidTaskOutput
from fractal_jupyter.models.images import (
    Image,
    ImageUpdate,
    InitOutput,
    ParallelizationItem,
    TaskOutput,
    is_below,
    normalize_url,
    parse_image,
    parse_images,
    parse_init_output,
    parse_task_output,
)


def update(**fields: Any) -> dict[str, Any]:
    return {"image_list_updates": [{"zarr_url": "/data/a", **fields}]}


def refusal(value: object) -> str:
    with pytest.raises(InvalidTaskOutput) as caught:
        parse_task_output(value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("/data/a", "/data/a"),
        ("/data/a/", "/data/a"),
        ("/data//a///", "/data/a"),
        ("//data/a", "/data/a"),
        ("///data/a", "/data/a"),
        ("/data/./a", "/data/a"),
        ("  /data/a ", "/data/a"),
        ("/data/a b/ü.zarr", "/data/a b/ü.zarr"),
        ("/data/a..b", "/data/a..b"),
        ("/", "/"),
        ("s3://bucket/key/", "s3://bucket/key"),
        ("s3://bucket//key", "s3://bucket//key"),
        ("s3://bucket/", "s3://bucket"),
    ],
)
def test_urls_have_one_spelling(given_url: str, expected: str) -> None:
    assert normalize_url(given_url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "data/a",
        "./a",
        "https://host/a",
        "s3:/bucket",
        "s3://",
        "s3:///key",
        "/data/../a",
        "/..",
        "s3://bucket/../a",
        "/data/\0a",
        "/data/\ud800",
        "/data/a /",
        "s3://bucket/a /",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="absolute path"):
        normalize_url(url)


@settings(deadline=None)
@given(st.text(alphabet="ab./", min_size=1).map(lambda text: "/" + text))
def test_normalising_twice_changes_nothing(url: str) -> None:
    try:
        once = normalize_url(url)
    except ValueError:
        assert ".." in url.split("/")
    else:
        assert normalize_url(once) == once
        assert PurePosixPath(once).parts == PurePosixPath("/", url.lstrip("/")).parts


def test_below_compares_components() -> None:
    assert is_below("/zarr/a", "/zarr")
    assert is_below("/zarr/a/b", "/zarr")
    assert is_below("/zarr", "/")
    assert not is_below("/zarr2/a", "/zarr")
    assert not is_below("/zarr", "/zarr")
    assert not is_below("/", "/")
    assert not is_below("s3://bucket/a", "/bucket")
    assert is_below("s3://bucket/a", "s3://bucket")
    assert not is_below("s3://bucket2/a", "s3://bucket")


def test_no_output_is_an_empty_output() -> None:
    nothings: tuple[object, ...] = (
        None,
        {},
        {"image_list_updates": []},
        {"image_list_removals": []},
    )
    for nothing in nothings:
        output = parse_task_output(nothing)
        assert output == TaskOutput()
        assert output.is_empty


def test_outputs_are_read_whole() -> None:
    output = parse_task_output(
        {
            "image_list_updates": [
                {
                    "zarr_url": "/data/new/",
                    "origin": "/data//a",
                    "attributes": {" plate ": "p", "n": 3, "x": 0.5, "ok": False, "gone": None},
                    "types": {"is_3D": False},
                },
                {"zarr_url": "s3://bucket/b", "origin": None},
            ],
            "image_list_removals": ["/data/old/"],
        }
    )
    assert output == TaskOutput(
        (
            ImageUpdate(
                "/data/new",
                "/data/a",
                {"plate": "p", "n": 3, "x": 0.5, "ok": False, "gone": None},
                {"is_3D": False},
            ),
            ImageUpdate("s3://bucket/b", None, {}, {}),
        ),
        ("/data/old",),
    )
    assert not output.is_empty
    assert output.image_list_updates[0].attributes["ok"] is False
    assert not TaskOutput((), ("/data/old",)).is_empty


@pytest.mark.parametrize(
    ("value", "path", "found", "allowed"),
    [
        ([], "output", "[] (a list)", "image_list_updates"),
        ("done", "output", "'done' (a string)", "or null"),
        (0, "output", "0 (an integer)", "an object"),
        ({"image_list_update": []}, "image_list_update", "[]", "mean `image_list_updates`"),
        ({"parallelization_list": []}, "parallelization_list", "[]", "no other field"),
        ({"image_list_updates": None}, "image_list_updates", "null", "a list"),
        ({"image_list_updates": {}}, "image_list_updates", "{} (an object)", "a list"),
        ({"image_list_removals": "/a"}, "image_list_removals", "'/a'", "a list"),
        ({"image_list_removals": ["/a", 3]}, "image_list_removals[1]", "3", "absolute path"),
        ({"image_list_updates": ["/a"]}, "image_list_updates[0]", "'/a'", "an object with"),
        ({"image_list_updates": [{}]}, "image_list_updates[0].zarr_url", "nothing", "s3://"),
        (update(zarr_url=None), "image_list_updates[0].zarr_url", "null", "absolute path"),
        (update(zarr_url="a"), "image_list_updates[0].zarr_url", "'a'", "absolute path"),
        (update(origin="../a"), "image_list_updates[0].origin", "'../a'", "absolute path"),
        (update(origin=3), "image_list_updates[0].origin", "3", "absolute path"),
        (update(colour="red"), "image_list_updates[0].colour", "'red'", "no other field"),
        (update(type={}), "image_list_updates[0].type", "{}", "did you mean `types`"),
        (update(attributes=None), "image_list_updates[0].attributes", "null", "an object"),
        (update(types=["is_3D"]), "image_list_updates[0].types", "['is_3D']", "an object"),
        (
            update(attributes={"plate": ["a"]}),
            "image_list_updates[0].attributes.plate",
            "['a'] (a list)",
            "null to remove it",
        ),
        (
            update(attributes={"my plate": {}}),
            "image_list_updates[0].attributes['my plate']",
            "{}",
            "a string",
        ),
        (
            update(attributes={"x": float("nan")}),
            "image_list_updates[0].attributes.x",
            "nan",
            "finite",
        ),
        (update(attributes={" ": 1}), "image_list_updates[0].attributes", "' '", "not empty"),
        (update(attributes={"a": 1, "a ": 2}), "image_list_updates[0].attributes.a", "2", "once"),
        (update(types={"is_3D": 1}), "image_list_updates[0].types.is_3D", "1", "true or false"),
        (
            update(types={"is_3D": None}),
            "image_list_updates[0].types.is_3D",
            "null",
            "true or false",
        ),
        (update(types={"": True}), "image_list_updates[0].types", "''", "not empty"),
    ],
)
def test_refusals_name_path_found_and_allowed(
    value: object, path: str, found: str, allowed: str
) -> None:
    line = refusal(value).splitlines()[1].strip()
    assert line.startswith(f"{path}: found {found}")
    assert allowed in line.split("; allowed: ", 1)[1]


def test_every_wrong_entry_is_told_and_many_are_counted() -> None:
    text = refusal(
        {"image_list_updates": [{"zarr_url": "/a"}, {}, {"zarr_url": 3}], "image_list_removals": 3}
    )
    assert "image_list_updates[0]" not in text
    for path in ("image_list_updates[1]", "image_list_updates[2]", "image_list_removals"):
        assert path in text
    assert "… and 90 more" in refusal({"image_list_updates": [{}] * 100})


def test_long_values_are_shortened() -> None:
    text = refusal(update(attributes={"x": ["y" * 10_000] * 10_000}))
    assert len(text) < 600


def test_init_output_is_read_and_identical_entries_count_once() -> None:
    item = {"zarr_url": "/data/a/", "init_args": {"x": 1, "y": [1]}}
    output = parse_init_output(
        {
            "parallelization_list": [
                item,
                {"zarr_url": "/data/b"},
                {"zarr_url": "/data/a", "init_args": {"y": [1], "x": 1}},
                {"zarr_url": "/data/a", "init_args": {"x": True, "y": [1]}},
                {"zarr_url": "/data/a", "init_args": {"x": 2, "y": [1]}},
                {"zarr_url": "/data/b", "init_args": {}},
            ]
        }
    )
    assert output == InitOutput(
        (
            ParallelizationItem("/data/a", {"x": 1, "y": [1]}),
            ParallelizationItem("/data/b", {}),
            ParallelizationItem("/data/a", {"x": True, "y": [1]}),
            ParallelizationItem("/data/a", {"x": 2, "y": [1]}),
        )
    )
    assert output.parallelization_list[2].init_args["x"] is True


def test_no_init_output_asks_for_no_units() -> None:
    nothings: tuple[object, ...] = (None, {}, {"parallelization_list": []})
    for nothing in nothings:
        assert parse_init_output(nothing) == InitOutput()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([], "output"),
        ({"image_list_updates": []}, "image_list_updates"),
        ({"parallelization_list": None}, "parallelization_list"),
        ({"parallelization_list": ["/a"]}, "parallelization_list[0]"),
        ({"parallelization_list": [{"init_args": {}}]}, "parallelization_list[0].zarr_url"),
        (
            {"parallelization_list": [{"zarr_url": "/a", "init_args": None}]},
            "parallelization_list[0].init_args",
        ),
        (
            {"parallelization_list": [{"zarr_url": "/a", "args": {}}]},
            "parallelization_list[0].args",
        ),
    ],
)
def test_wrong_init_outputs_are_refused(value: object, path: str) -> None:
    with pytest.raises(InvalidTaskOutput) as caught:
        parse_init_output(value)
    assert f"\n  {path}: found " in str(caught.value)


def test_images_are_read_and_written_back() -> None:
    document = {
        "zarr_url": "/data/a",
        "origin": None,
        "attributes": {"well": "B03"},
        "types": {"is_3D": True},
    }
    image = parse_image(document)
    assert image == Image("/data/a", None, {"well": "B03"}, {"is_3D": True})
    assert image.to_document() == document
    assert parse_image(image) is image
    assert parse_image({"zarr_url": PurePosixPath("/data/b")}) == Image("/data/b")
    assert json.loads(json.dumps(image.to_document())) == document


def test_images_do_not_share_the_dictionaries_of_the_caller() -> None:
    attributes = {"well": "B03"}
    image = parse_image({"zarr_url": "/data/a", "attributes": attributes})
    attributes["well"] = "C04"
    assert image.attributes == {"well": "B03"}


def test_an_image_has_no_null_attributes() -> None:
    with pytest.raises(InvalidDocument, match=r"image\.attributes\.well: found null") as caught:
        parse_image({"zarr_url": "/data/a", "attributes": {"well": None}})
    assert "remove" not in str(caught.value)


def test_wrong_documents_of_images_are_listed() -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_images([{"zarr_url": "/a"}, {"zarr_url": "b"}, Image("/c"), {"url": "/d"}])
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]] == [
        "images[1].zarr_url",
        "images[3].url",
    ]


def test_a_url_comes_once() -> None:
    with pytest.raises(InvalidDocument, match=r"images\[2\]\.zarr_url: .*images\[0\]"):
        parse_images([{"zarr_url": "/a"}, {"zarr_url": "/b"}, {"zarr_url": "/a/"}])
    assert parse_images([{"zarr_url": "/b"}, Image("/a")]) == [Image("/b"), Image("/a")]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
_NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "image_list_updates": _JSON
        | st.lists(
            st.fixed_dictionaries(
                {"zarr_url": st.sampled_from(["/a", "b"]) | _JSON},
                optional={"origin": _JSON, "attributes": _JSON, "types": _JSON, "more": _JSON},
            )
        ),
        "image_list_removals": _JSON | st.lists(st.sampled_from(["/a", "b", "s3://b/k"])),
        "more": _JSON,
    },
)


@settings(deadline=None)
@given(_JSON | _NEARLY)
def test_any_json_is_either_an_output_or_refused_in_words(value: Any) -> None:
    try:
        output = parse_task_output(value)
    except InvalidTaskOutput as error:
        text = str(error)
        if "; allowed: " not in text:
            pytest.fail(text)
    else:
        json.dumps([dict(update.attributes) for update in output.image_list_updates])
        assert all(url == normalize_url(url) for url in output.image_list_removals)
