from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fractal_jupyter.engine.merging import Merge, UnitOutput, merge
from fractal_jupyter.errors import ImageListError
from fractal_jupyter.models.images import Image, TaskOutput, parse_images, parse_task_output
from fractal_jupyter.models.manifest import TaskType

A = {"zarr_url": "/z/a", "origin": "/raw", "attributes": {"well": "A1"}, "types": {"is_3D": True}}
B = {"zarr_url": "/z/b", "attributes": {"well": "B1", "n": 1}, "types": {"done": False}}


def unit(index: int, output: object, zarr_url: str | None = "/z/a") -> UnitOutput:
    return UnitOutput(index, zarr_url, parse_task_output(output))


def updates(*documents: dict[str, Any]) -> dict[str, Any]:
    return {"image_list_updates": list(documents)}


def removals(*urls: str) -> dict[str, Any]:
    return {"image_list_removals": list(urls)}


def merged(
    outputs: Sequence[UnitOutput],
    *,
    documents: Sequence[object] = (A, B),
    zarr_dir: str = "/z",
    output_types: Mapping[str, bool] | None = None,
    inputs: Sequence[str] = ("/z/a", "/z/b"),
    task_type: TaskType = "parallel",
    earlier: Sequence[UnitOutput] = (),
) -> Merge:
    return merge(
        {image.zarr_url: image for image in parse_images(documents)},
        outputs,
        zarr_dir=zarr_dir,
        output_types=output_types or {},
        inputs=inputs,
        task_type=task_type,
        earlier=earlier,
    )


def refused(outputs: Sequence[UnitOutput], **options: Any) -> str:
    with pytest.raises(ImageListError) as caught:
        merged(outputs, **options)
    return str(caught.value)


# rule 4: known, rebuilt, new


@pytest.mark.parametrize("origin", [{}, {"origin": None}, {"origin": "/z/a/"}])
def test_a_known_image_is_edited_and_keeps_its_origin(origin: dict[str, Any]) -> None:
    update = {"zarr_url": "/z/a/", **origin, "attributes": {"n": 2}, "types": {"done": True}}
    assert merged([unit(0, updates(update))]) == Merge(
        changed=(Image("/z/a", "/raw", {"well": "A1", "n": 2}, {"is_3D": True, "done": True}),)
    )


def test_a_known_image_with_another_origin_is_rebuilt_from_it() -> None:
    update = {"zarr_url": "/z/a", "origin": "/z/b", "attributes": {"n": 2}}
    assert merged([unit(0, updates(update))]) == Merge(
        changed=(Image("/z/a", "/z/b", {"well": "B1", "n": 2}, {"done": False}),)
    )


def test_a_known_image_with_an_unknown_origin_inherits_nothing() -> None:
    update = {"zarr_url": "/z/a", "origin": "/z/nowhere", "types": {"done": True}}
    assert merged([unit(0, updates(update))]) == Merge(
        changed=(Image("/z/a", "/z/nowhere", {}, {"done": True}),)
    )


def test_a_known_image_may_lie_anywhere() -> None:
    document = {"zarr_url": "/elsewhere/a"}
    result = merged(
        [unit(0, updates({"zarr_url": "/elsewhere/a", "types": {"x": True}}))], documents=[document]
    )
    assert result.changed == (Image("/elsewhere/a", None, {}, {"x": True}),)


def test_a_new_image_inherits_from_its_origin() -> None:
    update = {"zarr_url": "/z/a_mip", "origin": "/z/a", "types": {"is_3D": False}}
    assert merged([unit(0, updates(update))]) == Merge(
        added=(Image("/z/a_mip", "/z/a", {"well": "A1"}, {"is_3D": False}),)
    )


@pytest.mark.parametrize("origin", [None, "/z/new", "/z/nowhere"])
def test_a_new_image_without_a_known_origin_inherits_nothing(origin: str | None) -> None:
    update = {"zarr_url": "/z/new", "origin": origin, "attributes": {"n": 1}}
    assert merged([unit(0, updates(update))]) == Merge(
        added=(Image("/z/new", origin, {"n": 1}, {}),)
    )


def test_new_images_are_appended_in_the_order_of_units_not_of_finishing() -> None:
    outputs = [unit(index, updates({"zarr_url": f"/z/new{index}"})) for index in range(5)]
    expected = merged(outputs)
    assert [image.zarr_url for image in expected.added] == [f"/z/new{index}" for index in range(5)]
    assert merged(outputs[::-1]) == expected


def test_an_origin_may_have_been_made_or_edited_just_before() -> None:
    result = merged(
        [
            unit(
                0,
                updates(
                    {"zarr_url": "/z/b", "attributes": {"n": 5}},
                    {"zarr_url": "/z/new", "origin": "/z/b"},
                    {"zarr_url": "/z/newer", "origin": "/z/new", "types": {"x": True}},
                ),
            )
        ]
    )
    assert result.added == (
        Image("/z/new", "/z/b", {"well": "B1", "n": 5}, {"done": False}),
        Image("/z/newer", "/z/new", {"well": "B1", "n": 5}, {"done": False, "x": True}),
    )


@pytest.mark.parametrize(
    ("zarr_dir", "url"),
    [
        ("/z", "/z2/a"),
        ("/z/", "/z2/a"),
        ("/z", "/z"),
        ("/z/", "/z"),
        ("/z", "/a"),
        ("/z", "s3://z/a"),
        ("s3://bucket/out", "s3://bucket/outer/a"),
        ("s3://bucket/out", "s3://bucket/out/"),
    ],
)
def test_a_new_image_elsewhere_is_refused(zarr_dir: str, url: str) -> None:
    text = refused([unit(3, updates({"zarr_url": url}))], zarr_dir=zarr_dir, documents=[A])
    assert text.startswith("Unit 3 (image '/z/a') reports the new image")
    assert f"not below the dataset's zarr_dir '{zarr_dir.rstrip('/')}'" in text


@pytest.mark.parametrize(
    ("zarr_dir", "url"),
    [("/z/", "/z/new/deep"), ("/", "/new"), ("s3://bucket/out/", "s3://bucket/out/a")],
)
def test_a_new_image_below_is_added(zarr_dir: str, url: str) -> None:
    assert merged([unit(0, updates({"zarr_url": url}))], zarr_dir=zarr_dir).added == (Image(url),)


# rule 5: precedence, and None


def test_inherited_values_then_the_output_then_the_types_of_the_task() -> None:
    update = {
        "zarr_url": "/z/new",
        "origin": "/z/a",
        "attributes": {"well": "C1"},
        "types": {"is_3D": True, "done": False, "said": True},
    }
    result = merged([unit(0, updates(update))], output_types={"is_3D": False, "done": True})
    assert result.added == (
        Image("/z/new", "/z/a", {"well": "C1"}, {"is_3D": False, "done": True, "said": True}),
    )


def test_null_removes_an_attribute() -> None:
    result = merged(
        [
            unit(
                0,
                updates(
                    {"zarr_url": "/z/b", "attributes": {"n": None, "never": None, "ok": False}},
                    {"zarr_url": "/z/new", "origin": "/z/a", "attributes": {"well": None}},
                ),
            )
        ]
    )
    assert result.changed[0].attributes == {"well": "B1", "ok": False}
    assert result.added[0].attributes == {}


def test_what_stays_the_same_is_no_change() -> None:
    same = {"zarr_url": "/z/a", "attributes": {"well": "A1", "never": None}}
    assert merged([unit(0, updates(same))], output_types={"is_3D": True}) == Merge()


def test_the_given_images_are_not_touched() -> None:
    images = {image.zarr_url: image for image in parse_images([A, B])}
    before = copy.deepcopy(images)
    outputs = [
        unit(
            0,
            updates({"zarr_url": "/z/a", "attributes": {"well": None}, "types": {"is_3D": False}}),
        )
    ]
    merge(
        images,
        outputs,
        zarr_dir="/z",
        output_types={"x": True},
        inputs=["/z/a"],
        task_type="parallel",
    )
    assert images == before


# rule 6: removals, several units


def test_removals_come_after_updates() -> None:
    outputs = [
        unit(0, removals("/z/a/")),
        unit(1, updates({"zarr_url": "/z/new", "origin": "/z/a"})),
    ]
    assert merged(outputs) == Merge(
        added=(Image("/z/new", "/z/a", {"well": "A1"}, {"is_3D": True}),), removed=("/z/a",)
    )


def test_removing_twice_counts_once() -> None:
    outputs = [unit(0, removals("/z/a", "/z/a")), unit(1, removals("/z/b", "/z/a"))]
    assert merged(outputs).removed == ("/z/a", "/z/b")


def test_removing_an_unknown_image_is_refused() -> None:
    text = refused([unit(0, removals("/z/a")), unit(7, removals("/z/no"), zarr_url=None)])
    assert text.startswith("Unit 7 removes the image '/z/no', which is not in the image list")


def test_identical_updates_count_once() -> None:
    update = {"zarr_url": "/z/new", "attributes": {"n": 1}}
    same = {"zarr_url": "/z/new/", "origin": None, "attributes": {"n": 1}, "types": {}}
    outputs = [unit(0, updates(update, same)), unit(1, updates(same), "/z/b")]
    assert merged(outputs).added == (Image("/z/new", None, {"n": 1}, {}),)


def test_different_updates_of_one_image_are_refused() -> None:
    first = {"zarr_url": "/z/new", "attributes": {"n": 1, "same": 0}, "types": {"x": True}}
    second = {"zarr_url": "/z/new", "origin": "/z/a", "attributes": {"n": 2, "same": 0}}
    outputs = [unit(2, updates(second), "/z/b"), unit(1, updates(first))]
    text = refused(outputs)
    assert text.startswith(
        "Unit 1 (image '/z/a') and unit 2 (image '/z/b') report different updates of the image "
        "'/z/new': origin null and '/z/a' (a string); "
        "attributes.n 1 (an integer) and 2 (an integer); "
        "types.x True (a boolean) and nothing."
    )
    assert refused(outputs[::-1]) == text


def test_one_unit_can_contradict_itself() -> None:
    output = updates({"zarr_url": "/z/a"}, {"zarr_url": "/z/a", "types": {"x": True}})
    assert refused([unit(4, output)]).startswith("Unit 4 (image '/z/a') reports different updates")


@pytest.mark.parametrize("order", [1, -1])
def test_updating_and_removing_the_same_image_is_refused(order: int) -> None:
    outputs = [unit(0, updates({"zarr_url": "/z/a"})), unit(1, removals("/z/a"), "/z/b")]
    assert "both an update and the removal of the image '/z/a'" in refused(outputs[::order])
    swapped = [unit(1, updates({"zarr_url": "/z/a"})), unit(0, removals("/z/a"), "/z/b")]
    assert "both an update and the removal" in refused(swapped[::order])


def test_creating_and_removing_the_same_image_is_refused() -> None:
    output = {**updates({"zarr_url": "/z/new"}), **removals("/z/new")}
    assert "both an update and the removal of the image '/z/new'" in refused([unit(0, output)])


# rule 7: nothing said


def test_inputs_of_succeeded_parallel_units_get_the_types() -> None:
    result = merged([unit(1, None, "/z/b")], output_types={"done": True})
    assert result == Merge(
        changed=(Image("/z/b", None, {"well": "B1", "n": 1}, {"done": True}),),
        typed_inputs=("/z/b",),
    )


@pytest.mark.parametrize("task_type", ["non_parallel", "compound"])
def test_all_inputs_of_other_tasks_get_the_types(task_type: TaskType) -> None:
    # the URL of a compute unit says nothing about inputs
    result = merged(
        [unit(0, {}, "/z/somewhere")], task_type=task_type, output_types={"is_3D": False}
    )
    assert result.typed_inputs == ("/z/a", "/z/b")
    assert [image.types["is_3D"] for image in result.changed] == [False, False]
    assert result.changed[0].origin == "/raw"


def test_inputs_only_and_only_if_known() -> None:
    result = merged(
        [unit(0, None, None)],
        task_type="non_parallel",
        inputs=["/z/b", "/z/gone"],
        output_types={"x": True},
    )
    assert result.typed_inputs == ("/z/b",)


@pytest.mark.parametrize("task_type", ["converter_non_parallel", "converter_compound"])
def test_converters_have_no_inputs(task_type: TaskType) -> None:
    outputs = [unit(0, None, None)]
    assert merged(outputs, task_type=task_type, inputs=(), output_types={"x": True}) == Merge()


def test_nothing_happens_when_no_unit_succeeded() -> None:
    assert merged([], output_types={"x": True}) == Merge()
    assert merged([], output_types={"x": True}, task_type="compound") == Merge()


def test_one_update_or_removal_anywhere_ends_rule_7() -> None:
    said: tuple[dict[str, Any], ...] = (updates({"zarr_url": "/z/new"}), removals("/z/b"))
    for output in said:
        result = merged([unit(0, None), unit(1, output, "/z/b")], output_types={"x": True})
        assert result.typed_inputs == ()
        assert result.changed == ()


# rule 8: retry


def test_a_retry_adds_to_what_was_merged_before() -> None:
    new = {"zarr_url": "/z/new", "origin": "/z/a"}
    known = {"zarr_url": "/z/new", "attributes": {"later": True}}
    earlier = [unit(0, updates(new))]
    again = [unit(1, updates(new, {"zarr_url": "/z/newer"}), "/z/b")]
    # what was merged before is in the list, and may have been changed since
    assert merged(again, documents=[A, B, known], earlier=earlier) == Merge(
        added=(Image("/z/newer"),)
    )


def test_a_retry_can_contradict_what_was_merged_before() -> None:
    earlier = [unit(5, updates({"zarr_url": "/z/a", "types": {"x": True}}))]
    text = refused([unit(2, updates({"zarr_url": "/z/a"}), "/z/b")], earlier=earlier)
    assert "Unit 5 (image '/z/a') and unit 2 (image '/z/b') report different updates" in text
    assert "both an update and the removal" in refused([unit(2, removals("/z/a"))], earlier=earlier)


def test_a_retry_may_remove_what_was_removed_before() -> None:
    earlier = [unit(0, removals("/z/gone"))]
    assert merged([unit(1, removals("/z/gone", "/z/b"))], earlier=earlier).removed == ("/z/b",)


def test_a_retry_types_its_own_inputs_if_nothing_was_said_before_either() -> None:
    options: dict[str, Any] = {"output_types": {"x": True}}
    silent = merged([unit(1, None, "/z/b")], earlier=[unit(0, None)], **options)
    assert silent.typed_inputs == ("/z/b",)
    said = [unit(0, updates({"zarr_url": "/z/a"}))]
    assert merged([unit(1, None, "/z/b")], earlier=said, **options) == Merge()
    assert merged([], earlier=[unit(0, None)], **options) == Merge()


# the same, said the slow way


class Refused(Exception):
    pass


def search(images: list[dict[str, Any]], url: str | None) -> dict[str, Any] | None:
    return next((image for image in images if image["zarr_url"] == url), None)


def naive(
    images: list[dict[str, Any]],
    outputs: list[UnitOutput],
    earlier: list[UnitOutput],
    *,
    output_types: dict[str, bool],
    inputs: list[str],
    task_type: TaskType,
) -> list[dict[str, Any]]:
    """The rules as prose tells them, quadratic, on plain dictionaries."""
    images = copy.deepcopy(images)

    def collect(units: list[UnitOutput]) -> tuple[list[Any], list[str]]:
        changes: list[Any] = []
        gone: list[str] = []
        for one in sorted(units, key=lambda unit: unit.unit):
            for change in one.output.image_list_updates:
                if change not in changes:
                    changes.append(change)
            for url in one.output.image_list_removals:
                if url not in gone:
                    gone.append(url)
        return changes, gone

    old_changes, old_gone = collect(earlier)
    changes, gone = collect(outputs)
    all_changes = old_changes + [change for change in changes if change not in old_changes]
    named = [change.zarr_url for change in all_changes] + list({*old_gone, *gone})
    if any(named.count(url) > 1 for url in named):
        raise Refused
    if not all_changes and not old_gone and not gone:
        for image in images:
            mine = [one for one in outputs if one.zarr_url == image["zarr_url"]]
            if image["zarr_url"] in inputs and (mine if task_type == "parallel" else outputs):
                image["types"].update(output_types)
        return images
    for change in changes:
        if change in old_changes:
            continue
        known = search(images, change.zarr_url)
        origin = search(images, change.origin)
        if known is None and not change.zarr_url.startswith("/z/"):
            raise Refused
        if known is not None and change.origin in (None, change.zarr_url):
            base = known
        else:
            base = {
                "zarr_url": change.zarr_url,
                "origin": change.origin,
                "attributes": dict(origin["attributes"]) if origin else {},
                "types": dict(origin["types"]) if origin else {},
            }
            if known is None:
                images.append(base)
            else:
                images[images.index(known)] = base
        for name, value in change.attributes.items():
            base["attributes"].pop(name, None)
            if value is not None:
                base["attributes"][name] = value
        base["types"].update(change.types)
        base["types"].update(output_types)
    for url in gone:
        if url in old_gone:
            continue
        known = search(images, url)
        if known is None:
            raise Refused
        images.remove(known)
    return images


def applied(images: list[dict[str, Any]], result: Merge) -> list[dict[str, Any]]:
    changed = {image.zarr_url: image.to_document() for image in result.changed}
    kept = [changed.pop(image["zarr_url"], image) for image in images]
    assert not changed
    assert {image.zarr_url for image in result.added}.isdisjoint(i["zarr_url"] for i in images)
    kept = [image for image in kept if image["zarr_url"] not in result.removed]
    return kept + [image.to_document() for image in result.added]


URLS = st.sampled_from(["/z/a", "/z/b", "/z/c", "/z/d", "/z/e", "/z2/f"])
ATTRIBUTES = st.dictionaries(st.sampled_from("pq"), st.sampled_from([1, "x", False]))
CHANGES = st.dictionaries(st.sampled_from("pq"), st.sampled_from([1, "x", False, None]))
TYPES = st.dictionaries(st.sampled_from("st"), st.booleans())
IMAGES = st.lists(
    st.fixed_dictionaries(
        {
            "zarr_url": URLS,
            "origin": st.none() | URLS,
            "attributes": ATTRIBUTES,
            "types": TYPES,
        }
    ),
    unique_by=lambda image: str(image["zarr_url"]),
    max_size=5,
)
UPDATES = st.fixed_dictionaries(
    {"zarr_url": URLS},
    optional={"origin": st.none() | URLS, "attributes": CHANGES, "types": TYPES},
)
OUTPUTS = st.fixed_dictionaries(
    {},
    optional={
        "image_list_updates": st.lists(UPDATES, max_size=2),
        "image_list_removals": st.lists(URLS, max_size=1),
    },
)
UNITS = st.lists(
    st.tuples(st.integers(0, 9), st.none() | OUTPUTS, st.booleans()),
    unique_by=lambda unit: unit[0],
    max_size=4,
)


@settings(deadline=None, max_examples=500)
@given(
    images=IMAGES,
    units=UNITS,
    output_types=TYPES,
    task_type=st.sampled_from(["parallel", "compound", "non_parallel"]),
    data=st.data(),
)
def test_merging_equals_the_naive_reference_in_any_order(
    images: list[dict[str, Any]],
    units: list[tuple[int, Any, bool]],
    output_types: dict[str, bool],
    task_type: TaskType,
    data: st.DataObject,
) -> None:
    urls = [image["zarr_url"] for image in images]
    inputs = data.draw(st.lists(st.sampled_from(urls), unique=True)) if urls else []
    now: list[UnitOutput] = []
    before: list[UnitOutput] = []
    for index, output, was_before in units:
        url = data.draw(st.sampled_from(inputs)) if inputs else None
        (before if was_before else now).append(unit(index, output, url))
    options: dict[str, Any] = {
        "output_types": output_types,
        "inputs": inputs,
        "task_type": task_type,
    }
    shuffled = data.draw(st.permutations(now))
    by_url = {image.zarr_url: image for image in parse_images(images)}
    try:
        expected = naive(images, now, before, **options)
    except Refused:
        with pytest.raises(ImageListError):
            merge(by_url, shuffled, zarr_dir="/z", earlier=before, **options)
        return
    result = merge(by_url, shuffled, zarr_dir="/z", earlier=before, **options)
    assert applied(images, result) == expected
    assert all(by_url[image.zarr_url] != image for image in result.changed)


def test_ten_times_the_images_take_about_ten_times_as_long() -> None:
    """Counts comparisons instead of seconds: nothing may look through the list per image."""

    class Counting(str):
        compared = 0
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            Counting.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    def comparisons(count: int) -> int:
        urls = [Counting(f"/z/{index}") for index in range(count)]
        images: dict[str, Image] = {url: Image(url) for url in urls}
        outputs = [
            UnitOutput(index, url, parse_task_output(updates({"zarr_url": f"{url}_new"})))
            for index, url in enumerate(urls)
        ]
        silent = [UnitOutput(index, url, TaskOutput()) for index, url in enumerate(urls)]
        gone = [
            UnitOutput(index, url, parse_task_output(removals(url)))
            for index, url in enumerate(urls)
        ]
        Counting.compared = 0
        for step in (outputs, silent, gone):
            merge(
                images,
                step,
                zarr_dir="/z",
                output_types={"x": True},
                inputs=urls,
                task_type="parallel",
            )
        return Counting.compared

    assert comparisons(2_000) <= 12 * max(comparisons(200), 200)
