from pathlib import Path, PurePosixPath
from typing import Any

from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.runner.results import ATTEMPTS_AHEAD, ResultsFollower, read_results
from fractal_jupyter.worker.records import encode


def write(path: Path, *numbers: int, more: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"".join(encode({"n": number}) for number in numbers) + more)


def read(follower: ResultsFollower) -> list[tuple[int, Any]]:
    return [
        (attempt, record["n"])
        for _, reports in read_results(LocalHost(), [follower])
        for attempt, record in reports
    ]


def follow(folder: Path, **positions: list[int]) -> ResultsFollower:
    return ResultsFollower(PurePosixPath(folder), positions)


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


def test_segments_are_read_in_their_order_and_all_attempts(tmp_path: Path) -> None:
    follower = follow(tmp_path)
    write(tmp_path / "attempt-1" / "results-0000", 1)
    assert read(follower) == [(1, 1)]
    write(tmp_path / "attempt-2" / "results-0000", 4)
    write(tmp_path / "attempt-1" / "results-0000", 2)
    write(tmp_path / "attempt-1" / "results-0001", 3)
    assert sorted(read(follower)) == [(1, 2), (1, 3), (2, 4)]
    # Attempts between them may have died before they could write anything.
    last = 2 + ATTEMPTS_AHEAD
    write(tmp_path / f"attempt-{last}" / "results-0000", 5)
    assert read(follower) == [(last, 5)]
    write(tmp_path / "attempt-3" / "results-0000", 6)
    assert read(follower) == [(3, 6)]


def test_another_reader_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    write(tmp_path / "attempt-1" / "results-0000", 1, 2)
    first = follow(tmp_path)
    read(first)
    write(tmp_path / "attempt-1" / "results-0001", 3)
    assert read(follow(tmp_path, **first.positions)) == [(1, 3)]


def test_many_batches_are_read_at_once(tmp_path: Path) -> None:
    followers = [follow(tmp_path / f"batch-{number}") for number in range(3)]
    write(tmp_path / "batch-0" / "attempt-1" / "results-0000", 1)
    write(tmp_path / "batch-2" / "attempt-1" / "results-0000", 2)
    write(tmp_path / "batch-2" / "attempt-1" / "results-0001", 3)
    read_by = [
        (followers.index(follower), [record["n"] for _, record in reports])
        for follower, reports in read_results(LocalHost(), followers)
    ]
    assert read_by == [(0, [1]), (2, [2]), (2, [3])]


def test_a_segment_that_grew_while_it_was_read_loses_nothing(tmp_path: Path) -> None:
    """The next segment may have been begun between reading this one and looking for the next."""
    follower = follow(tmp_path)
    attempt = tmp_path / "attempt-1"
    first = {f"{attempt}/results-0000": encode({"n": 1}), f"{attempt}/results-0001": b""}
    reports, more = follower.take(first)
    assert ([record["n"] for _, record in reports], more) == ([1], True)
    write(attempt / "results-0000", 1, 2)
    write(attempt / "results-0001", 3)
    assert read(follower) == [(1, 2), (1, 3)]
