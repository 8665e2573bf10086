from typing import Any

import pytest

from fractal_jupyter.runner.units import UnitChanges

STATUSES = ("pending", "running", "done", "failed", "cancelled", "interrupted")


def start(unit: int, slot: int = 0) -> dict[str, Any]:
    return {"event": "start", "unit": unit, "slot": slot, "time": 10.0}


def end(unit: int, status: str = "done", **fields: Any) -> dict[str, Any]:
    return {"event": "end", "unit": unit, "status": status, "log": [0, 5, 7], **fields}


def changes(statuses: dict[int, str], *, is_init: bool = False) -> UnitChanges:
    return UnitChanges(dict(statuses), is_init)


def test_a_unit_that_starts_and_ends_counts_once() -> None:
    c = changes({0: "pending"})
    for record in (start(0), end(0, exit_code=0), end(0, "failed"), start(0)):
        c.apply(1, record)
    assert c.statuses == {0: "done"}
    assert {k: v for k, v in c.counters.items() if v} == {"done": 1}
    assert c.ended == 1
    assert c.columns[0]["status"] == "done"
    assert c.columns[0]["log"] == {
        "attempt": 1,
        "segment": 0,
        "offset": 5,
        "length": 7,
        "dropped": 0,
    }


def test_what_steers_terminals_is_no_part_of_an_error() -> None:
    c = changes({0: "running"})
    c.apply(1, end(0, "failed", message="\x1b[31mValueError\x1b[0m: a\x07\r\n\tb \x1b]0;title\x07"))
    assert c.columns[0]["error"] == "ValueError: a\n\tb "


@pytest.mark.parametrize("late", ["done", "failed"])
def test_a_late_result_outranks_an_interruption_but_nothing_else(late: str) -> None:
    for status in STATUSES:
        c = changes({0: status})
        c.apply(1, end(0, late))
        expected = late if status in ("pending", "running", "interrupted") else status
        assert c.statuses[0] == expected, status


def test_an_interruption_reported_by_the_next_attempt_undoes_no_result() -> None:
    c = changes({0: "done"})
    c.apply(2, end(0, "interrupted", problem="superseded"))
    assert c.statuses[0] == "done"
    assert not c.columns


def test_an_output_that_breaks_the_contract_fails_the_unit() -> None:
    c = changes({0: "running", 1: "running"})
    c.apply(1, end(0, output={"image_list_updates": [{"zarr_url": "relative"}]}))
    c.apply(1, end(1, output={"image_list_updates": [{"zarr_url": "/data/a.zarr"}]}))
    assert c.statuses == {0: "failed", 1: "done"}
    assert c.columns[0]["problem"] == "invalid_output"
    assert "image_list_updates[0].zarr_url" in c.columns[0]["error"]
    assert c.columns[0]["output"] is None


def test_the_first_part_of_a_compound_task_has_another_contract() -> None:
    c = changes({0: "running", 1: "running"}, is_init=True)
    c.apply(1, end(0, output={"parallelization_list": [{"zarr_url": "/data/a.zarr"}]}))
    c.apply(1, end(1, output={"image_list_updates": []}))
    assert c.statuses == {0: "done", 1: "failed"}


def test_records_of_units_that_are_not_of_the_phase_are_passed_over() -> None:
    c = changes({0: "pending"})
    for record in (start(7), end(7), {"event": "something new"}):
        c.apply(1, record)
    assert c.statuses == {0: "pending"}
    assert not c.columns


def test_damage_and_modes_are_noticed() -> None:
    c = changes({})
    c.apply(1, {"event": "damaged", "offset": 3, "length": 9, "reason": "x"})
    c.apply(1, {"event": "mode", "warm": True, "modules": 3, "seconds": 1.23})
    assert c.damaged == 1
    assert c.mode == ("warm: units are forked from a process that imported 3 modules in 1.2 s")
    c.apply(1, {"event": "mode", "warm": False, "reason": "no __main__ guard"})
    assert c.mode == "cold: no __main__ guard"
    c.apply(1, {"event": "learned", "modules": ["a", "b"]})
    assert c.learned == ["a", "b"]
