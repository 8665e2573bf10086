"""Tasks are found by words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.engine.searching import SearchedTask, TaskQuery, find_tasks
from tests.engine.test_arguments import core_tasks

CORE = [
    SearchedTask(task.model_dump(), "fractal-tasks-core", "2.1.0")
    for task in core_tasks("2.1.0").values()
]
OLDER = [
    SearchedTask(task.model_dump(), "fractal-tasks-core", "2.0.2")
    for task in core_tasks("2.0.2").values()
]


def found(tasks: list[SearchedTask] = CORE, /, **query: Any) -> list[str]:
    return [str(task.entry["name"]) for task in find_tasks(tasks, TaskQuery(**query), about=itself)]


def itself(task: SearchedTask) -> SearchedTask:
    return task


def test_without_words_all_are_there_in_their_order() -> None:
    assert found() == found(search=" ") == list(core_tasks("2.1.0"))


@pytest.mark.parametrize(
    "search", ["project image", "IMAGE  Project", "imag proj", "project-image"]
)
def test_case_order_and_marks_do_not_matter(search: str) -> None:
    assert found(search=search)[:2] == ["Project Image", "Project Image (HCS Plate)"]


def test_names_come_first() -> None:
    labelled = SearchedTask({"name": "Other", "tags": ["Threshold"]}, "p", "1")
    inside = SearchedTask({"name": "Rethresholding"}, "p", "1")
    described = SearchedTask({"name": "Third", "docs_info": "Uses a threshold."}, "p", "1")
    tasks = [described, labelled, inside, *CORE]
    assert found(tasks, search="threshold")[:4] == [
        "Threshold Segmentation",
        "Rethresholding",
        "Other",
        "Third",
    ]


def test_every_word_has_to_be_somewhere() -> None:
    assert found(search="segmentation threshold") == ["Threshold Segmentation"]
    assert found(search="segmentation nonsense") == []
    assert found(search="hcs preprocessing") == ["Project Image (HCS Plate)"]


def test_prose_is_searched_by_the_beginnings_of_its_words() -> None:
    task = SearchedTask({"name": "A", "docs_info": "Does something."}, "p", None)
    assert found([task], search="some") == ["A"]
    assert found([task], search="ome") == []
    assert found([task], search="so") == []


def test_newer_versions_come_first() -> None:
    tasks = [*OLDER, *CORE]
    best = find_tasks(tasks, TaskQuery(search="import ome"), about=itself)
    assert [task.version for task in best] == ["2.1.0", "2.0.2"]


def test_fields() -> None:
    assert found(category="segmentation") == ["Threshold Segmentation"]
    assert found(modality="hcs", category="Registration") == [
        "Calculate Registration (image-based)"
    ]
    assert "Import OME-Zarr" in found(tag="2d")
    assert found(tag="2") == []
    assert found(package="other") == found(version="2.0.2") == []


def test_accents() -> None:
    task = SearchedTask({"name": "Débruitage"}, "p", "1")
    assert found([task], search="debruitage") == found([task], search="DÉBRUIT") == ["Débruitage"]


@given(st.text(max_size=20))
def test_any_text_can_be_sought(text: str) -> None:
    assert set(found(search=text)) <= set(core_tasks("2.1.0"))
