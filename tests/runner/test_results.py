from pathlib import Path, PurePosixPath
from typing import Any

from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.runner.results import ResultsFollower
from fractal_jupyter.worker.records import encode


def write(path: Path, *numbers: int, more: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"".join(encode({"n": number}) for number in numbers) + more)


def read(follower: ResultsFollower) -> list[tuple[int, Any]]:
    return [(attempt, record["n"]) for attempt, record in follower.read()]


def follow(folder: Path, **positions: list[int]) -> ResultsFollower:
    return ResultsFollower(LocalHost(), PurePosixPath(folder), positions)


def test_nothing_is_read_twice_and_nothing_is_left_out(tmp_path: Path) -> None:
    follower = follow(tmp_path)
    assert read(follower) == []
    write(tmp_path / "attempt-1" / "results-0000", 1, 2, more=b"0123")
    assert read(follower) == [(1, 1), (1, 2)]
    assert read(follower) == []


def test_a_line_that_is_completed_later_is_read_then(tmp_path: Path) -> None:
    follower = follow(tmp_path)
    line = encode({"n": 3})
    write(tmp_path / "attempt-1" / "results-0000", 1, more=line[:10])
    assert read(follower) == [(1, 1)]
    write(tmp_path / "attempt-1" / "results-0000", more=line[10:])
    assert read(follower) == [(1, 3)]


def test_segments_and_attempts_are_read_in_their_order(tmp_path: Path) -> None:
    follower = follow(tmp_path)
    write(tmp_path / "attempt-1" / "results-0000", 1)
    assert read(follower) == [(1, 1)]
    write(tmp_path / "attempt-2" / "results-0000", 4)
    write(tmp_path / "attempt-1" / "results-0000", 2)
    write(tmp_path / "attempt-1" / "results-0001", 3)
    assert read(follower) == [(1, 2), (1, 3), (2, 4)]
    write(tmp_path / "attempt-10" / "results-0000", 5)
    assert read(follower) == [(10, 5)]


def test_another_reader_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    write(tmp_path / "attempt-1" / "results-0000", 1, 2)
    first = follow(tmp_path)
    read(first)
    write(tmp_path / "attempt-1" / "results-0001", 3)
    assert read(follow(tmp_path, **first.positions)) == [(1, 3)]
