from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from fractal_jupyter.engine.schemas import describe_schema, schema_problems
from fractal_jupyter.errors import InvalidManifest

MODEL = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


def problems(
    value: object, schema: dict[str, Any], version: str | None = "fractal_schema_v1"
) -> list[str]:
    found = schema_problems(value, schema, version=version, path="args", source="'T' (args)")
    return [str(problem) for problem in found]


def field(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}, **more}


@pytest.mark.parametrize(
    ("schema", "value", "allowed"),
    [
        ({"type": "integer"}, 1.5, "an integer"),
        ({"type": "integer"}, True, "an integer"),
        ({"type": "boolean"}, 1, "true or false"),
        ({"type": ["integer", "null"]}, "1", "an integer or null"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, 1, "a number at least 0, less"),
        ({"type": "string", "pattern": "^a", "minLength": 2}, "b", "with at least 2 characters"),
        ({"const": "Otsu"}, "otsu", "'Otsu'"),
        ({"enum": ["a", 1, None]}, "b", "one of 'a', 1, None"),
        ({"type": "array", "items": {}, "minItems": 1}, [], "a list with at least 1 items"),
        ({"type": "array", "uniqueItems": True}, [1, 1], "what fits `uniqueItems`: True"),
        ({"not": {"type": "string"}}, "x", "what fits `not`: {'type': 'string'}"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x", "an integer or null"),
        ({"anyOf": [{"type": "integer"}, {"enum": ["max"]}]}, "x", "an integer or 'max'"),
        (MODEL, 3, "an object with `x`"),
    ],
)
def test_what_is_allowed_is_said_in_words(schema: Any, value: object, allowed: str) -> None:
    (line,) = problems({"a": value}, field(schema))
    assert line.startswith("args.a: found ")
    assert allowed in line.split("; allowed: ")[1]


def test_paths_lead_through_lists_and_odd_names() -> None:
    schema = field({"type": "array", "items": field({"type": "string"})})
    assert problems({"a": [{"a": "x"}, {"a": 1}]}, schema)[0].startswith("args.a[1].a: found 1")
    by_name = {"type": "object", "additionalProperties": {"type": "string"}}
    assert problems({"odd name": 1}, by_name)[0].startswith("args['odd name']: found 1")


def test_unknown_names_are_found_on_every_level() -> None:
    closed = field(field({}, additionalProperties=False))
    assert problems({"a": {"a": 1, "b": 2}, "free": 1}, closed) == [
        "args.a.b: found 2 (an integer); allowed: no such name; there are a"
    ]
    empty = {"type": "object", "additionalProperties": False}
    assert problems({"a": 1}, empty)[0].endswith("no such name; there are none")
    patterns = {
        "type": "object",
        "patternProperties": {"^x_": {"type": "integer"}},
        "additionalProperties": False,
    }
    assert problems({"x_1": 1}, patterns) == []
    assert len(problems({"x_1": "a", "y": 1}, patterns)) == 2


def test_an_alternative_is_chosen_by_what_the_value_looks_like() -> None:
    two = {
        "anyOf": [
            {"type": "object", "properties": {"kind": {"const": kind}, kind: {"type": "integer"}}}
            for kind in ("one", "two")
        ]
    }
    assert problems({"a": {"kind": "two", "two": "x"}}, field(two)) == [
        "args.a.two: found 'x' (a string); allowed: an integer"
    ]


def test_a_tagged_union_is_checked_by_its_tag() -> None:
    def branch(kind: str) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"kind": {"const": kind}, "n": {"type": "integer"}},
        }

    union = {
        "$defs": {"One": branch("one"), "Two": branch("two")},
        **field(
            {
                "oneOf": [{"$ref": "#/$defs/One"}, {"$ref": "#/$defs/Two"}],
                "discriminator": {
                    "propertyName": "kind",
                    "mapping": {"one": "#/$defs/One", "two": "#/$defs/Two"},
                },
            }
        ),
    }
    assert problems({"a": {"kind": "two", "n": 1}}, union) == []
    assert problems({"a": {"kind": "two", "n": "1"}}, union) == [
        "args.a.n: found '1' (a string); allowed: an integer"
    ]
    for wrong, found in (({"kind": "three"}, "'three' (a string)"), ({"n": 1}, "nothing")):
        assert problems({"a": wrong}, union) == [
            f"args.a.kind: found {found}; allowed: one of 'one', 'two'"
        ]
    assert problems({"a": {"kind": ["one"]}}, union)[0].startswith("args.a.kind: found ['one']")
    assert problems({"a": "one"}, union)[0].startswith("args.a: found 'one'")


@pytest.mark.parametrize("version", ["pydantic_v1", "pydantic_v2", None])
def test_older_flavours_take_null_for_what_is_optional(version: str) -> None:
    schema = {
        "type": "object",
        "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
        "required": ["x"],
    }
    assert problems({"x": 1, "y": None}, schema, version) == []
    assert problems({"x": None}, schema, version) == ["args.x: found null; allowed: an integer"]
    assert problems({"x": 1, "y": None}, schema) == ["args.y: found null; allowed: an integer"]


def test_the_draft_is_the_one_named_or_that_of_the_flavour() -> None:
    pair = field({"type": "array", "items": [{"type": "integer"}, {"type": "string"}]})
    wrong = {"a": ["x", "y"]}
    expected = ["args.a[0]: found 'x' (a string); allowed: an integer"]
    assert problems(wrong, pair, "pydantic_v1") == expected
    draft_7 = "http://json-schema.org/draft-07/schema#"
    assert problems(wrong, {**pair, "$schema": draft_7}, "pydantic_v2") == expected
    # such lists of items are no longer a schema in the newest draft
    for version in ("pydantic_v2", "fractal_schema_v1", None):
        with pytest.raises(InvalidManifest, match=r"'T' \(args\) is no JSON schema"):
            problems(wrong, pair, version)
    newer = field({"type": "array", "prefixItems": [{"type": "integer"}]})
    assert problems(wrong, newer) == expected
    assert problems(wrong, newer, "pydantic_v1") == []


def test_a_broken_schema_is_the_authors_fault() -> None:
    with pytest.raises(InvalidManifest, match=r"'T' \(args\) .* at \$\.properties\.a\.type"):
        problems({}, field({"type": "text"}))


def test_descriptions_follow_references() -> None:
    root = {
        "$defs": {"Level": {"type": "integer", "minimum": 0}, "Loop": {"$ref": "#/$defs/Loop"}},
    }
    assert describe_schema({"$ref": "#/$defs/Level"}, root) == "an integer at least 0"
    assert describe_schema({"allOf": [{"$ref": "#/$defs/Level"}]}, root) == "an integer at least 0"
    assert describe_schema({"$ref": "#/$defs/Loop"}, root) == "any value"
    assert describe_schema({"$ref": "#/$defs/Nowhere"}, root) == "any value"
    assert describe_schema(True, root) == "any value"
    many = {"enum": list(range(100))}
    assert describe_schema(many, root).endswith("19 … (100 in all)")


def test_the_slow_import_waits_for_the_first_check() -> None:
    code = """
import sys
from fractal_jupyter.engine.arguments import validate_arguments
assert "jsonschema" not in sys.modules
from fractal_jupyter.engine.schemas import schema_problems
schema_problems({}, {}, version=None, path="args", source="T")
assert "jsonschema" in sys.modules
assert "rfc3987_syntax" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
