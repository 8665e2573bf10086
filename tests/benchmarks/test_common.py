import json

import pytest

from benchmarks.common import Row, table

FASTER = Row(what="images", ours=2.0, against=30.0, target="faster", limit=10)
TIMES = Row(what="units", ours=3.2, against=2.0, target="times", limit=1.5, note="median of 3")
BELOW = Row(what="memory", ours=72.0, unit="MB", target="below", limit=150)


def test_a_ratio_says_how_many_times_faster_or_how_many_times_as_much() -> None:
    assert (FASTER.ratio, TIMES.ratio, BELOW.ratio) == (15.0, 1.6, None)
    assert (FASTER.reached, TIMES.reached, BELOW.reached) == (True, False, True)


def test_a_target_that_is_a_ratio_needs_something_to_compare_with() -> None:
    with pytest.raises(ValueError, match="alone"):
        _ = Row(what="alone", ours=1.0, target="times", limit=2).reached


def test_rows_survive_being_written_down() -> None:
    for row in (FASTER, TIMES, BELOW):
        assert Row.from_document(json.loads(json.dumps(row.to_document()))) == row


def test_the_table_is_in_columns_with_notes_below() -> None:
    lines = table([FASTER, TIMES, BELOW]).splitlines()
    assert lines[0].split() == ["what", "ours", "against", "ratio", "target", "reached"]
    assert " ".join(lines[2].split()) == "images 2 s 30 s 15.00 ≥ 10 × faster yes"
    assert " ".join(lines[3].split()) == "units 3.2 s 2 s 1.60 ≤ 1.5 × NO"
    assert " ".join(lines[4].split()) == "memory 72 MB < 150 MB yes"
    assert lines[5:] == ["", "units: median of 3"]
