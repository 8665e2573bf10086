"""Lines of results: what is written comes back, and what is damaged is told, never skipped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fractal_jupyter.worker.records import decode_lines, encode, frame

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
records = st.fixed_dictionaries({"event": st.text()}, optional={"output": json_values})


def events(data: bytes) -> list[Any]:
    return [record["event"] for record in decode_lines(data)[0]]


@given(st.lists(records))
def test_what_is_written_comes_back(written: list[dict[str, Any]]) -> None:
    data = b"".join(map(encode, written))
    assert decode_lines(data) == (written, len(data))


@given(st.lists(records, min_size=1), st.data())
def test_reading_in_pieces_gives_the_same(
    written: list[dict[str, Any]], choice: st.DataObject
) -> None:
    data = b"".join(map(encode, written))
    cut = choice.draw(st.integers(0, len(data)))
    first, consumed = decode_lines(data[:cut])
    rest, more = decode_lines(data[consumed:])
    assert first + rest == written
    assert consumed + more == len(data)


def test_a_line_is_one_line_of_ascii() -> None:
    line = encode({"event": "ö\n\u2028\ud800"})
    assert line.isascii()
    assert line.index(b"\n") == len(line) - 1
    assert events(line) == ["ö\n\u2028\ud800"]


def test_numbers_that_json_does_not_know_survive() -> None:
    (record,), _ = decode_lines(encode({"event": "end", "output": [float("inf"), float("nan")]}))
    assert str(record["output"]) == "[inf, nan]"


def test_an_incomplete_end_is_left() -> None:
    whole = encode({"event": "a"})
    assert decode_lines(whole + whole[:-1]) == ([{"event": "a"}], len(whole))
    assert decode_lines(b"") == ([], 0)
    assert decode_lines(whole[:-1]) == ([], 0)


def test_a_damaged_end_is_left_until_something_follows() -> None:
    whole, damaged = encode({"event": "a"}), b"\0" * 20 + b"\n"
    assert decode_lines(whole + damaged) == ([{"event": "a"}], len(whole))
    assert decode_lines(damaged) == ([], 0)
    found, consumed = decode_lines(whole + damaged + whole)
    assert [record["event"] for record in found] == ["a", "damaged", "a"]
    assert consumed == 2 * len(whole) + len(damaged)
    assert (found[1]["offset"], found[1]["length"]) == (len(whole), 20)


def test_a_line_that_was_cut_short_does_not_take_the_next_one_with_it() -> None:
    first, second = encode({"event": "first"}), encode({"event": "second", "output": {"a": [{}]}})
    found, consumed = decode_lines(first[:20] + second)
    assert [record["event"] for record in found] == ["damaged", "second"]
    assert (found[0]["offset"], found[0]["length"]) == (0, 20)
    assert consumed == 20 + len(second)


def test_empty_lines_are_nothing() -> None:
    assert events(b"\n\n" + encode({"event": "a"}) + b"\n" + encode({"event": "b"})) == ["a", "b"]


@pytest.mark.parametrize("body", [b"[1]", b"null", b"{", b'"text"', b"[" * 100_000])
def test_what_is_no_record_is_damage(body: bytes) -> None:
    assert events(frame(body) + encode({"event": "a"})) == ["damaged", "a"]


def test_a_changed_byte_is_noticed() -> None:
    line = bytearray(encode({"event": "end", "unit": 1}))
    line[line.index(b"1}")] ^= 1
    assert json.loads(line[9:])["unit"] == 0
    assert events(bytes(line) + encode({"event": "a"})) == ["damaged", "a"]
