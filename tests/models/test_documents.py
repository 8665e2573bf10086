from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, WrapValidator

from fractal_jupyter.errors import InvalidDocument
from fractal_jupyter.models.documents import (
    Document,
    Section,
    no_twins,
    parse_document,
    parse_variant,
    problems_in,
)
from fractal_jupyter.models.types import MemoryMB, OneLine, PositiveInt


class Inner(Section):
    count: PositiveInt = 1
    memory: MemoryMB | None = None
    only_elsewhere: None = None


class Outer(Document):
    passed_over: ClassVar[frozenset[str]] = frozenset({"id"})

    name: OneLine
    kind: Literal["outer"] = "outer"
    inner: Inner | None = None
    items: tuple[Inner, ...] = ()
    by_name: Annotated[dict[OneLine, bool], WrapValidator(no_twins)] = Field(default_factory=dict)


class Other(Document):
    kind: Literal["other"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def message(document: object) -> str:
    with pytest.raises(InvalidDocument) as caught:
        parse_document(Outer, document, noun="thing")
    return str(caught.value)


@pytest.mark.parametrize("as_string", [False, True])
def test_a_file(tmp_path: Path, as_string: bool) -> None:
    path = tmp_path / "thing.json"
    path.write_text('\ufeff{"name": "ä"}', encoding="utf-8")  # with the mark that Windows adds
    thing = parse_document(Outer, str(path) if as_string else path, noun="thing")
    assert thing.to_document() == {"name": "ä"}


def test_a_file_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "thing.json").write_text('{"name": "x"}', encoding="utf-8")
    assert parse_document(Outer, "~/thing.json", noun="thing").name == "x"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert message(tmp_path / "none.json") == (
        f"The thing in {tmp_path / 'none.json'} cannot be read: No such file or directory. "
        "Give JSON text, or the path of a JSON file."
    )


def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "image.json"
    path.write_bytes(b"\x89PNG\xff")
    assert "cannot be read: 'utf-8' codec" in message(path)


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "thing.json"
    path.write_text('{"name": "x", "inner": {"count": 0}}', encoding="utf-8")
    assert message(path) == (
        f"The thing in {path} ('x') cannot be used:\n"
        "  inner.count: found 0 (an integer); allowed: a whole number, at least 1"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"name": }', "is not JSON: Expecting value: line 1 column 10"),
        ('{"name": "x", "name": "y"}', 'is not JSON: "name" is given twice in one object'),
        ('{"name": ' + "[" * 100_000, "is not JSON"),
        ("[1]", "document: found [1] (a list); allowed: an object"),
        ('{"name": NaN}', "name: found nan (a number); allowed: what JSON has"),
    ],
)
def test_wrong_text_is_told(text: str, reason: str) -> None:
    assert reason in message(text)


def test_what_is_no_json_is_told_with_its_place() -> None:
    lines = message({"name": "x", "items": [{"memory": {1, 2}}, {3: "x"}]}).splitlines()
    assert [line.split(";")[0] for line in lines[1:]] == [
        "  items[0].memory: found {1, 2} (of Python type set)",
        "  items[1]: found {3: 'x'} (an object)",
    ]


def test_mappings_tuples_and_paths_become_json() -> None:
    given = MappingProxyType({"name": Path("/data"), "items": (MappingProxyType({"count": 2}),)})
    thing = parse_document(Outer, given, noun="thing")
    assert thing.to_document() == {"name": "/data", "items": [{"count": 2}]}


def test_fields_that_are_passed_over_are_kept() -> None:
    thing = parse_document(Outer, {"id": [1], "name": "x"}, noun="thing")
    assert thing.to_document() == {"id": [1], "name": "x"}
    assert "id" not in thing.model_dump()


def test_documents_made_by_hand_have_a_document_too() -> None:
    assert Outer(name="x", inner=Inner(count=2)).name == "x"
    assert Outer(name=" x ").to_document() == {"name": " x "}


def test_documents_do_not_change() -> None:
    given = {"name": "x", "items": [{"count": 1}]}
    thing = parse_document(Outer, given, noun="thing")
    with pytest.raises(ValidationError):
        thing.name = "y"
    given["name"] = "z"
    thing.to_document()["items"].append({})
    assert thing.to_document() == {"name": "x", "items": [{"count": 1}]}


@given(JSON, JSON)
def test_any_json_is_accepted_as_it_is_or_refused_in_words(name: object, other: object) -> None:
    document = {"name": name, "inner": other, "id": other}
    for given_as in (document, json.dumps(document)):
        try:
            thing = parse_document(Outer, given_as, noun="thing")
        except InvalidDocument as error:
            for line in str(error).splitlines()[1:]:
                assert (": found " in line and "; allowed: " in line) or line.endswith(" more")
        else:
            assert thing.to_document() == document


def test_one_line_per_wrong_field() -> None:
    wrong = {
        "kind": "inner",
        "inner": {"cuont": 1, "zzz": 2, "only_elsewhere": 3},
        "items": [{}, {"count": "x", "memory": True}, 5],
        "by_name": {"a": "perhaps", " ": True},
    }
    assert message(wrong).splitlines() == [
        "The thing cannot be used:",
        "  name: found nothing; allowed: text on one line, without control characters; "
        "the field is required",
        "  kind: found 'inner' (a string); allowed: 'outer'",
        "  inner.only_elsewhere: found 3 (an integer); allowed: null; "
        "the field has no meaning for this type",
        "  inner.cuont: found 1 (an integer); allowed: no field of this name; "
        'did you mean "count"?',
        "  inner.zzz: found 2 (an integer); allowed: no field of this name; "
        "there are count, memory",
        "  items[1].count: found 'x' (a string); allowed: a whole number, at least 1",
        "  items[1].memory: found True (a boolean); allowed: memory in MB, such as 200, "
        '"200M", "3G" or "1T", at least 1 MB',
        "  items[2]: found 5 (an integer); allowed: an object",
        "  by_name.a: found 'perhaps' (a string); allowed: true or false",
        "  by_name: found ' ' (a string); allowed: as names a string that is not empty",
    ]


def test_names_that_differ_in_white_space_only() -> None:
    assert "by_name: found {'a': True, 'a ': False} (an object); allowed: names that differ" in (
        message({"name": "x", "by_name": {"a": True, "a ": False}})
    )


def test_problems_of_a_model_as_a_whole() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(5)
    (problem,) = problems_in(caught.value, Outer)
    assert str(problem) == "document: found 5 (an integer); allowed: an object"


VARIANTS: dict[str, type[Outer | Other]] = {"outer": Outer, "other": Other}


def test_the_field_decides_which_model_it_is() -> None:
    document = {"kind": "other"}
    assert isinstance(parse_variant(VARIANTS, document, noun="thing", field="kind"), Other)


@pytest.mark.parametrize("kind", [None, "x", 5, ["other"], {}])
def test_an_unknown_variant_is_told_with_those_there_are(kind: object) -> None:
    with pytest.raises(InvalidDocument, match=r'kind: found .*; allowed: one of "outer", "other"'):
        parse_variant(VARIANTS, {"kind": kind}, noun="thing", field="kind")
