from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fractal_jupyter.engine.filters import (
    next_running_filter,
    no_images_error,
    parse_attribute_filters,
    parse_type_filters,
    select,
    select_inputs,
    step_type_filter,
)
from fractal_jupyter.errors import ImageListError, InvalidDocument
from fractal_jupyter.models.images import Image, Scalar

IMAGES = [
    Image("/z/a", None, {"well": "B03", "n": 1}, {"is_3D": True}),
    Image("/z/b", None, {"well": "B05", "n": 2}, {"is_3D": True, "illuminated": False}),
    Image("/z/c", None, {"well": "C03"}, {}),
]


def urls(images: Sequence[Image]) -> list[str]:
    return [image.zarr_url.rsplit("/", 1)[1] for image in images]


# rule 1


def test_the_step_overlays_the_running_filter() -> None:
    running = {"is_3D": True, "registered": True, "kept": False}
    result = step_type_filter(
        running=running, input_types={"is_3D": False}, step_filters={"registered": False, "x": True}
    )
    assert result == {"is_3D": False, "registered": False, "kept": False, "x": True}
    assert running == {"is_3D": True, "registered": True, "kept": False}


def test_task_and_step_may_agree_but_not_contradict() -> None:
    both = {"running": {}, "input_types": {"is_3D": True}}
    assert step_type_filter(**both, step_filters={"is_3D": True}) == {"is_3D": True}
    with pytest.raises(ImageListError, match=r"is_3D=False contradicts .* is_3D=True only"):
        step_type_filter(**both, step_filters={"is_3D": False})


def test_only_output_types_change_the_running_filter() -> None:
    running = {"is_3D": True, "kept": True}
    result = next_running_filter(running, output_types={"is_3D": False, "new": True})
    assert result == {"is_3D": False, "kept": True, "new": True}
    assert running == {"is_3D": True, "kept": True}


# rules 1 and 2: what passes


@pytest.mark.parametrize(
    ("type_filter", "attribute_filters", "passing"),
    [
        ({}, {}, "abc"),
        ({"is_3D": True}, {}, "ab"),
        ({"is_3D": False}, {}, "c"),
        ({"illuminated": False}, {}, "abc"),
        ({"unheard": True}, {}, ""),
        ({}, {"well": ["C03", "B03"]}, "ac"),
        ({}, {"n": [1, 2]}, "ab"),
        ({}, {"n": ["1"]}, ""),
        ({}, {"unheard": ["x"]}, ""),
        ({}, {"well": []}, ""),
        ({"is_3D": True}, {"well": ["C03", "B03"], "n": [1]}, "a"),
    ],
)
def test_images_that_pass(
    type_filter: dict[str, bool], attribute_filters: dict[str, list[Scalar]], passing: str
) -> None:
    selected = select(IMAGES, type_filter=type_filter, attribute_filters=attribute_filters)
    assert "".join(urls(selected)) == passing


SCALARS: st.SearchStrategy[Scalar] = st.sampled_from([0, 1, 2.5, "x", "", True, False])
TYPES = st.dictionaries(st.sampled_from("st"), st.booleans())


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.dictionaries(st.sampled_from("pq"), SCALARS), TYPES)),
    TYPES,
    st.dictionaries(st.sampled_from("pq"), st.lists(SCALARS, max_size=3)),
)
def test_selection_equals_a_naive_filter(
    documents: list[tuple[dict[str, Scalar], dict[str, bool]]],
    type_filter: dict[str, bool],
    attribute_filters: dict[str, list[Scalar]],
) -> None:
    images = [Image(f"/{n}", None, *document) for n, document in enumerate(documents)]
    expected = []
    for image in images:
        passes = True
        for name, flag in type_filter.items():
            if image.types.get(name, False) is not flag:
                passes = False
        for name, values in attribute_filters.items():
            if name not in image.attributes or image.attributes[name] not in values:
                passes = False
        if passes:
            expected.append(image)
    assert (
        select(iter(images), type_filter=type_filter, attribute_filters=attribute_filters)
        == expected
    )


# rule 3


def inputs(task_type: Any, images: list[Image], type_filter: dict[str, bool]) -> list[Image]:
    return select_inputs(
        images,
        task_name="Project Image",
        task_type=task_type,
        type_filter=type_filter,
        attribute_filters={},
    )


@pytest.mark.parametrize("task_type", ["converter_non_parallel", "converter_compound"])
def test_converters_get_no_images(task_type: str) -> None:
    assert inputs(task_type, IMAGES, {}) == []
    assert inputs(task_type, [], {"is_3D": True}) == []


@pytest.mark.parametrize("task_type", ["parallel", "non_parallel", "compound"])
def test_other_tasks_need_images(task_type: str) -> None:
    assert urls(inputs(task_type, IMAGES, {"is_3D": False})) == ["c"]
    with pytest.raises(ImageListError, match="'Project Image' has no images"):
        inputs(task_type, IMAGES, {"unheard": True})
    with pytest.raises(ImageListError, match="the dataset has none"):
        inputs(task_type, [], {})


def why(type_filter: dict[str, bool], attribute_filters: dict[str, list[Scalar]]) -> list[str]:
    error = no_images_error(
        IMAGES,
        task_name="Project Image",
        type_filter=type_filter,
        attribute_filters=attribute_filters,
    )
    first, *lines = str(error).splitlines()
    assert first == (
        "'Project Image' has no images to work on: the filters let none of the 3 images through."
    )
    return [line.strip() for line in lines]


def test_the_error_tells_what_each_filter_lets_through() -> None:
    assert why({"is_3D": True}, {"well": ["C03"], "n": [1, 2]}) == [
        "type is_3D=True lets 2 of 3 through",
        "attribute 'well' in 'C03' lets 1 of 3 through",
        "attribute 'n' in 1, 2 lets 2 of 3 through",
        "Each filter lets images through, but no image passes all of them.",
    ]


def test_the_error_tells_what_there_is_instead() -> None:
    assert why({"is_3d": True}, {}) == [
        "type is_3d=True lets 0 of 3 through; no image has the type 'is_3d'; "
        "did you mean 'is_3D'? types there are: 'illuminated', 'is_3D'"
    ]
    assert why({"illuminated": True}, {}) == ["type illuminated=True lets 0 of 3 through"]
    assert why({}, {"well": ["B3"]}) == [
        "attribute 'well' in 'B3' lets 0 of 3 through; "
        "did you mean 'B03'? values there are: 'B03', 'B05', 'C03'"
    ]
    assert why({}, {"n": ["1"]}) == [
        "attribute 'n' in '1' lets 0 of 3 through; did you mean 1? values there are: 1, 2"
    ]
    assert why({}, {"Well": ["B03"]}) == [
        "attribute 'Well' in 'B03' lets 0 of 3 through; no image has the attribute; "
        "did you mean 'well'? attributes there are: 'n', 'well'"
    ]
    assert why({}, {"plate": ["x"]})[0].endswith(
        "no image has the attribute; attributes there are: 'n', 'well'"
    )


def test_the_error_stays_short_with_many_values() -> None:
    many = [Image(f"/z/{n}", None, {"well": f"W{n}"}, {}) for n in range(10_000)]
    wanted: list[Scalar] = [f"V{n}" for n in range(500)]
    text = str(
        no_images_error(
            many, task_name="T", type_filter={}, attribute_filters={"well": wanted, "no": ["x"]}
        )
    )
    assert "… (500 in all)" in text
    assert "… (10,000 in all)" in text
    assert len(text) < 600


def test_the_error_for_images_without_anything() -> None:
    error = no_images_error(
        [Image("/z/a")], task_name="T", type_filter={"x": True}, attribute_filters={"y": [1]}
    )
    assert "none of the one image through" in str(error)
    assert "no image has the type 'x'; there are no types" in str(error)
    assert "no image has the attribute; there are no attributes" in str(error)


# what users write


def test_filters_of_users_are_checked() -> None:
    assert parse_type_filters({" is_3D ": True}) == {"is_3D": True}
    assert parse_attribute_filters({"well": ("B03",), "n": [1, 2.5, True]}) == {
        "well": ["B03"],
        "n": [1, 2.5, True],
    }
    with pytest.raises(InvalidDocument) as caught:
        parse_type_filters({"is_3D": 1, "": True})
    assert "type_filters.is_3D: found 1 (an integer); allowed: true or false" in str(caught.value)
    assert "type_filters: found '' (a string)" in str(caught.value)
    with pytest.raises(InvalidDocument) as caught:
        parse_attribute_filters({"well": "B03", "n": [], "m": [1, None, [2]]})
    for wrong in ("well: found 'B03'", "n: found []", "m[1]: found null", "m[2]: found [2]"):
        assert f"attribute_filters.{wrong}" in str(caught.value)
    for parse in (parse_type_filters, parse_attribute_filters):
        with pytest.raises(InvalidDocument, match=r"an object"):
            parse(["well"])
