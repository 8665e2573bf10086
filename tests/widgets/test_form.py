"""The form engine: schemas become fields, fields give documents."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fractal_jupyter.engine.planning import RESERVED
from fractal_jupyter.engine.schemas import schema_problems
from fractal_jupyter.models.problems import MISSING
from fractal_jupyter.widgets.fields import (
    ChoiceField,
    DictionaryField,
    Field,
    ListField,
    ObjectField,
    TextField,
    UnionField,
)
from fractal_jupyter.widgets.form import Form, arguments_form
from fractal_jupyter.widgets.schema import accepts, make_node, resolved, same

DATA = Path(__file__).parent / "data"
CORE = Path(__file__).parent.parent / "engine" / "data" / "fractal_tasks_core_2.1.0.json"


def form(properties: dict[str, Any], *, required: tuple[str, ...] = (), defs: Any = None) -> Form:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    schema["$defs"] = defs or {}
    return arguments_form(
        schema, version="fractal_schema_v1", path="args", source="'T'", hidden=sorted(RESERVED)
    )


def only(one: Form, kind: type[Any] = Field, name: str = "a") -> Any:
    field = one.root.fields[name]
    assert isinstance(field, kind)
    return field


def words(one: Form) -> list[str]:
    return [str(problem) for problem in one.problems()]


# --- what the manifests of real packages ask for ------------------------------------------------


def recorded() -> Iterator[tuple[str, str, dict[str, Any]]]:
    converters = json.loads(
        gzip.decompress((DATA / "fractal_uzh_converters_0.7.1.json.gz").read_bytes())
    )
    for manifest in (json.loads(CORE.read_text()), converters):
        for task in manifest["task_list"]:
            for part in ("args_schema_non_parallel", "args_schema_parallel"):
                if part in task:
                    yield task["name"], part, task[part]


REAL = list(recorded())


def of_schema(schema: dict[str, Any], value: dict[str, Any] | None = None) -> Form:
    return arguments_form(
        schema,
        version="fractal_schema_v1",
        path="args",
        source="'T'",
        hidden=sorted(RESERVED),
        value=value,
    )


def fill_what_is_missing(one: Form) -> None:
    """Do what the problems ask for, until there are none; as a person would."""
    for _ in range(30):
        found = one.by_field(one.problems())
        if not found:
            return
        for field, problems in found.items():
            if isinstance(field, TextField):
                field.type_in("1" if field.node.kind in ("integer", "number") else "x")
            elif isinstance(field, ChoiceField | UnionField):
                field.choose(0)
            elif isinstance(field, ListField):
                field.add()
            else:
                raise AssertionError([str(problem) for problem in problems])
    raise AssertionError(words(one))


@pytest.mark.parametrize(("task", "part", "schema"), REAL, ids=[f"{t}-{p}" for t, p, _ in REAL])
def test_every_task_can_be_filled(task: str, part: str, schema: dict[str, Any]) -> None:
    one = of_schema(schema)
    fill_what_is_missing(one)
    assert of_schema(schema, one.value()).value() == one.value()


@pytest.mark.parametrize(("task", "part", "schema"), REAL, ids=[f"{t}-{p}" for t, p, _ in REAL])
def test_every_field_of_every_task_can_be_opened(
    task: str, part: str, schema: dict[str, Any]
) -> None:
    one = of_schema(schema)
    # every alternative in turn, every list with an item, every optional group
    for turn in range(5):
        done: set[str] = set()
        while todo := [f for f in one.root.walk() if f.path + f.node.kind not in done]:
            field = todo[0]
            done.add(field.path + field.node.kind)
            if isinstance(field, UnionField):
                field.choose(turn % len(field.names))
            elif isinstance(field, ListField | DictionaryField):
                field.add()
            elif isinstance(field, ObjectField) and not field.is_open:
                field.begin()
            elif isinstance(field, ChoiceField):
                field.choose(turn % len(field.options))
        fill_what_is_missing(one)
        document = one.value()
        assert json.loads(json.dumps(document)) == document
        assert of_schema(schema, document).value() == document


# --- one kind of field after the other ----------------------------------------------------------


def test_what_is_not_filled_in_is_left_out_and_has_its_default() -> None:
    one = form({"a": {"type": "string", "default": "x"}, "zarr_url": {"type": "string"}})
    assert list(one.root.fields) == ["a"]
    field = only(one, TextField)
    assert (one.value(), field.text, field.given) == ({}, "x", False)
    field.type_in("y")
    assert one.value() == {"a": "y"}
    field.type_in("x")
    assert one.value() == {}
    field.type_in("y")
    field.type_in("")
    assert (one.value(), field.text) == ({}, "x")


@pytest.mark.parametrize(
    ("kind", "text", "value", "fine"),
    [
        ("integer", "12", 12, True),
        ("integer", "1.5", 1.5, False),
        ("integer", "3G", "3G", False),
        ("number", "1e3", 1000.0, True),
        ("number", "NaN", "NaN", False),
        ("number", "true", "true", False),
        ("string", "12", "12", True),
        ("string", '"<b>"', '"<b>"', True),
    ],
)
def test_typed_text_is_read_as_what_is_asked_for(
    kind: str, text: str, value: Any, fine: bool
) -> None:
    one = form({"a": {"type": kind}})
    only(one, TextField).type_in(text)
    assert same(one.value(), {"a": value})
    assert (words(one) == []) is fine


def test_anything_is_json() -> None:
    one = form({"a": {}})
    field = only(one, TextField)
    for text, value in (('{"x": [1]}', {"x": [1]}), ("plain", "plain"), ("null", None)):
        field.type_in(text)
        assert one.value() == {"a": value}
    assert form({"a": True}).problems() == []


def test_flags_and_choices() -> None:
    one = form({"a": {"type": "boolean", "default": False}, "b": {"enum": ["x", 1, True]}})
    flag, choice = only(one, ChoiceField), only(one, ChoiceField, "b")
    assert flag.node.is_flag
    assert not choice.node.is_flag
    assert flag.options[flag.position] is False
    flag.choose(0)
    choice.choose(2)
    assert same(one.value(), {"a": True, "b": True})
    flag.choose(1)
    choice.choose(None)
    assert one.value() == {}
    choice.load("z")
    assert (one.value(), choice.misfit) == ({"b": "z"}, "z")


def test_null_is_something_that_is_said() -> None:
    optional = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}
    one = form({"a": {**optional, "default": 5, "title": "A"}, "b": optional}, required=("b",))
    a, b = only(one, TextField), only(one, TextField, "b")
    assert (a.title, a.node.kind, a.node.nullable, a.text) == ("A", "integer", True, "5")
    assert one.value() == {"b": None}
    a.enter(None)
    b.type_in("0")
    assert one.value() == {"a": None, "b": 0}
    assert words(one)[0].startswith("args.b: found 0")
    a.type_in("5")
    assert one.value() == {"b": 0}
    many = form({"a": {"type": ["string", "null"], "default": None}})
    assert only(many, TextField).is_null
    assert many.value() == {}


def test_groups_are_given_as_soon_as_something_in_them_is() -> None:
    inner = {
        "type": "object",
        "properties": {"x": {"type": "integer", "default": 1}, "y": {"type": "integer"}},
    }
    one = form({"a": {"$ref": "#/$defs/I", "default": {"x": 2}}}, defs={"I": inner})
    group = only(one, ObjectField)
    assert one.value() == {}
    assert group.fields["x"].value() == 2
    group.fields["y"].type_in("3")
    assert one.value() == {"a": {"x": 2, "y": 3}}
    group.fields["y"].type_in("")
    assert one.value() == {}


def test_an_optional_group_is_begun_and_withdrawn() -> None:
    group = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
    for schema in (group, {"anyOf": [group, {"type": "null"}], "default": None}):
        one = form({"a": schema})
        field = only(one, ObjectField)
        assert not field.is_open
        assert one.problems() == []
        field.begin()
        assert one.value() == {"a": {}}
        assert words(one) == ["args.a.x: found nothing; allowed: a string; required"]
        field.fields["x"].type_in("1")
        assert one.value() == {"a": {"x": "1"}}
        field.withdraw()
        assert one.value() == {}


def test_lists() -> None:
    one = form({"a": {"type": "array", "items": {"type": "integer"}, "default": []}})
    field = only(one, ListField)
    for text in ("1", "2", "3"):
        field.add().type_in(text)
    field.move_up(2)
    assert one.value() == {"a": [1, 3, 2]}
    assert [item.path for item in field.items] == ["args.a[0]", "args.a[1]", "args.a[2]"]
    field.remove(0)
    field.add()
    assert one.value() == {"a": [3, 2, None]}
    assert list(one.by_field(one.problems())) == [field.items[2]]
    for _ in range(3):
        field.remove(0)
    assert one.value() == {}


def test_items_with_a_meaning_each() -> None:
    pair = [{"type": "integer"}, {"type": "string"}]
    for schema in ({"prefixItems": pair}, {"items": pair}):
        one = form({"a": {"type": "array", **schema}}, required=("a",))
        field = only(one, ListField)
        assert field.is_fixed
        field.items[0].type_in("1")
        assert one.value() == {"a": [1, ""]}


def test_dictionaries() -> None:
    one = form({"a": {"type": "object", "additionalProperties": {"type": "integer"}}})
    field = only(one, DictionaryField)
    field.add().type_in("1")
    field.add().type_in("2")
    assert one.value() == {"a": {"name_1": 1, "name_2": 2}}
    assert not field.rename(0, "name_2")
    assert field.rename(0, "odd name")
    assert field.entries[0][1].path == "args.a['odd name']"
    field.remove(1)
    assert one.value() == {"a": {"odd name": 1}}
    named = form({"a": {"type": "object", "propertyNames": {"enum": ["3.11", "3.12"]}}})
    names = only(named, DictionaryField)
    names.add(), names.add(), names.add()
    assert [name for name, _ in names.entries] == ["3.11", "3.12", "name_1"]


def tagged(default: Any = MISSING) -> Form:
    def branch(kind: str, **fields: Any) -> dict[str, Any]:
        constant = {"const": kind, "default": kind}
        return {"type": "object", "title": f"Title {kind}", "properties": {"t": constant, **fields}}

    union = {
        "oneOf": [{"$ref": "#/$defs/One"}, {"$ref": "#/$defs/Two"}],
        "discriminator": {
            "propertyName": "t",
            "mapping": {"one": "#/$defs/One", "two": "#/$defs/Two"},
        },
    }
    if default is not MISSING:
        union["default"] = default
    definitions = {
        "One": branch("one", n={"type": "integer", "default": 7}),
        "Two": {**branch("two", s={"type": "string"}), "required": ["s"]},
    }
    return form({"a": union}, defs=definitions)


def test_a_union_with_a_tag() -> None:
    one = tagged({"t": "one"})
    field = only(one, UnionField)
    assert field.names == ("one", "two")
    assert field.position == 0
    assert one.value() == {}
    field.choose(1)
    assert one.value() == {"a": {"t": "two"}}
    assert words(one) == ["args.a.s: found nothing; allowed: a string; required"]
    ((about, _),) = one.by_field(one.problems()).items()
    assert about is field.inner.fields["s"]
    about.type_in("x")
    assert (one.value(), words(one)) == ({"a": {"t": "two", "s": "x"}}, [])
    field.choose(0)
    assert one.value() == {}
    field.inner.fields["n"].type_in("8")
    assert one.value() == {"a": {"t": "one", "n": 8}}


def test_a_union_that_nobody_has_chosen_from() -> None:
    one = tagged()
    field = only(one, UnionField)
    assert field.position is None
    assert one.value() == {}
    field.load({"t": "two"})  # not complete, but its tag says which one was meant
    assert field.position == 1
    field.load({"t": "three"})
    assert field.misfit == {"t": "three"}
    assert one.value() == {"a": {"t": "three"}}
    field.withdraw()
    assert one.value() == {}


def test_a_union_without_a_tag_is_told_by_the_value() -> None:
    numbers = {"type": "array", "items": {"type": "integer"}}
    one = form({"a": {"anyOf": [{"type": "integer"}, {"enum": ["max", "min"]}, numbers]}})
    field = only(one, UnionField)
    assert field.names == ("whole number", "one of a few", "list")
    for value, position in ((3, 0), ("max", 1), ([1], 2)):
        field.load(value)
        assert (field.position, one.value()) == (position, {"a": value})
    two = form({"a": {"anyOf": [{"type": "string"}, {"type": "string", "pattern": "^x"}]}})
    assert only(two, UnionField).names == ("text (1)", "text (2)")


def test_all_of_and_references_with_something_beside_them() -> None:
    definitions = {"E": {"enum": ["a", "b"], "title": "E"}, "a/b": {"type": "string"}}
    root: dict[str, Any] = {"$defs": definitions}
    node = make_node({"allOf": [{"$ref": "#/$defs/E"}], "title": "Mine", "default": "b"}, root)
    assert (node.kind, node.title, node.default) == ("choice", "Mine", "b")
    assert make_node({"$ref": "#/$defs/a~1b", "title": "T"}, root).title == "T"
    assert make_node({"$ref": "#/$defs/none"}, root).kind == "anything"
    circle = {"$defs": {"C": {"$ref": "#/$defs/C"}}}
    assert resolved({"$ref": "#/$defs/C"}, circle) == {}
    both = {"allOf": [{"properties": {"x": {}}}, {"properties": {"y": {}}, "required": ["y"]}]}
    assert list(make_node(both, {}).fields) == ["x", "y"]


def test_models_that_hold_themselves() -> None:
    tree: dict[str, Any] = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "left": {"$ref": "#/$defs/T"},
            "right": {"anyOf": [{"$ref": "#/$defs/T"}, {"type": "null"}], "default": None},
            "more": {"type": "array", "items": {"$ref": "#/$defs/T"}},
            "again": {"$ref": "#/$defs/T", "default": {}},
        },
    }
    one = form({"a": {"$ref": "#/$defs/T"}}, required=("a",), defs={"T": tree})
    value = {"a": {"left": {"right": {"more": [{"name": "x"}]}}, "again": {"name": "y"}}}
    one.load(value)
    assert one.value() == value


def test_what_does_not_fit_is_kept_and_told() -> None:
    one = form(
        {
            "a": {"type": "object", "properties": {"x": {"type": "integer"}}},
            "b": {"type": "array", "items": {"type": "integer"}},
        }
    )
    value = {"a": [1], "b": "no list", "unknown": {"<b>": 1}}
    one.load(value)
    assert one.value() == value
    field = only(one)
    assert field.misfit == [1]
    assert field.children == ()
    assert set(one.by_field(one.problems())) >= {field, only(one, name="b")}
    field.begin()
    assert one.value()["a"] == {}


def test_a_problem_goes_to_the_nearest_field() -> None:
    closed = {"type": "object", "properties": {"x": {}}, "additionalProperties": False}
    one = form({"a": closed, "ab": {}}, required=("a",))
    one.load({"a": {"y": 1}, "ab": 1})
    ((field, problems),) = one.by_field(one.problems()).items()
    assert field is only(one)
    assert problems[0].path == "args.a.y"


# --- whatever the schema, whatever the value ----------------------------------------------------

scalars = st.one_of(
    st.just({"type": "integer"}),
    st.just({"type": "number"}),
    st.just({"type": "string"}),
    st.just({"type": "boolean"}),
    st.just({"enum": ["x", "y", 3]}),
    st.just({"type": ["integer", "null"]}),
    st.just({"const": "k"}),
    st.just({}),
)
names = st.sampled_from(["a", "b", "odd name", "zarr"])


def compound(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    fields = st.dictionaries(names, inner, min_size=1, max_size=3)
    return st.one_of(
        inner.map(lambda s: {"type": "array", "items": s}),
        inner.map(lambda s: {"type": "object", "additionalProperties": s}),
        st.builds(
            lambda f, some: {
                "type": "object",
                "properties": f,
                "required": [name for name in f if name in some],
            },
            fields,
            st.sets(names),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"anyOf": some}),
        inner.map(lambda s: {"anyOf": [s, {"type": "null"}], "default": None}),
    )


schemas = st.recursive(scalars, compound, max_leaves=8)
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5) | names, inner, max_size=3)
    ),
    max_leaves=6,
)


def valid(schema: dict[str, Any], draw: Any) -> Any:
    """A value that a schema of those above allows."""
    node = make_node(schema, {})
    if node.nullable and draw(st.booleans()):
        return None
    match node.kind:
        case "integer":
            return draw(st.integers())
        case "number":
            return draw(st.floats(allow_nan=False, allow_infinity=False))
        case "text":
            return draw(st.text(max_size=5))
        case "choice" | "constant":
            return draw(st.sampled_from(node.options))
        case "list":
            return [valid(node.item(0), draw) for _ in range(draw(st.integers(0, 3)))]
        case "dictionary":
            return {name: valid(node.entry, draw) for name in draw(st.sets(names))}
        case "union":
            return valid(draw(st.sampled_from(node.alternatives)), draw)
        case "object":
            return {
                name: valid(field, draw)
                for name, field in node.fields.items()
                if name in node.required or draw(st.booleans())
            }
    return draw(json_values)


@given(schema=schemas, data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_valid_value_goes_in_and_comes_out(schema: dict[str, Any], data: Any) -> None:
    value = valid(schema, data.draw)
    assert accepts(schema, {}, value)
    one = form({"a": schema})
    one.load({"a": value})
    assert same(one.value(), {"a": value})
    assert one.problems() == []
    assert all(field.misfit is MISSING for field in one.root.walk())


@given(schema=schemas, value=json_values)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_goes_in_and_comes_out(schema: dict[str, Any], value: Any) -> None:
    one = form({"a": schema})
    one.load({"a": value, "b": value})
    assert same(one.value(), {"a": value, "b": value})
    assert sum(map(len, one.by_field(one.problems()).values())) == len(one.problems())


@given(schema=schemas, data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_default_changes_nothing_and_is_never_repeated(schema: dict[str, Any], data: Any) -> None:
    default = valid(schema, data.draw)
    one = form({"a": {**schema, "default": default}})
    assert one.value() == {}
    field = only(one)
    shown = field.effective()
    field.enter(default)
    assert one.value() == {}
    assert same(field.effective(), shown)


def test_a_default_that_leaves_out_what_goes_without_saying_is_not_repeated() -> None:
    tagged = {"type": "object", "properties": {"a": {"const": "k"}}}
    one = form({"a": {"anyOf": [tagged, {"type": "integer"}], "default": {}}})
    field = only(one)
    assert field.effective() == {"a": "k"}
    field.enter({})
    assert one.value() == {}
    assert field.effective() == {"a": "k"}


def test_the_default_of_a_union_comes_before_that_of_its_alternative() -> None:
    fields = {"type": "object", "properties": {"a": {"type": "integer"}}}
    optional = {"anyOf": [fields, {"type": "null"}], "default": None}
    one = form({"a": {"anyOf": [optional, {"type": "integer"}], "default": {}}})
    assert same(only(one).effective(), {})
    only(one).enter({})
    assert one.value() == {}


@given(data=st.data())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_done_to_a_real_form_its_document_can_be_loaded_again(data: Any) -> None:
    _, _, schema = data.draw(st.sampled_from(REAL))
    one = of_schema(schema)
    for _ in range(data.draw(st.integers(1, 12))):
        field = data.draw(st.sampled_from(list(one.root.walk())))
        if isinstance(field, TextField):
            field.type_in(data.draw(st.sampled_from(["", "1", "0.5", "text", "null", "[]"])))
        elif isinstance(field, UnionField):
            field.choose(data.draw(st.sampled_from([None, *range(len(field.names))])))
        elif isinstance(field, ChoiceField):
            field.choose(data.draw(st.sampled_from([None, *range(len(field.options))])))
        elif isinstance(field, ListField):
            field.add()
            if data.draw(st.booleans()):
                field.remove(0)
        elif not field.is_open:
            field.begin()
        elif not field.required:
            field.withdraw()
    document = one.value()
    again = of_schema(schema)
    again.load(document)
    assert same(again.value(), document)
    problems = schema_problems(
        document,
        of_schema(schema).root.node.schema,
        version="fractal_schema_v1",
        path="args",
        source="'T'",
    )
    assert list(one.problems()) == problems
