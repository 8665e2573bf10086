"""Reading what workers report: complete lines only, from where the last reading ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from fractal_jupyter.hosts.base import Host
from fractal_jupyter.runner.files import names, read_if_there
from fractal_jupyter.worker.records import decode_lines

Positions = dict[str, list[int]]
Report = tuple[int, Mapping[str, Any]]

# Attempts beyond the last known one that are looked for: so many in a row may have died, or been
# told to end, before they could write anything.
ATTEMPTS_AHEAD = 4


@dataclass(slots=True)
class ResultsFollower:
    """Follows the results files of all attempts at one batch.

    Names of files are known in advance, so folders need not be listed: of each attempt the segment
    that is being read and the next one, and the first one of attempts to come.

    Attributes:
        folder: The batch's folder.
        positions: By attempt, the number of the segment that is being read and the offset in it.
    """

    folder: PurePosixPath
    positions: Positions = field(default_factory=dict)
    _closed: set[tuple[int, int]] = field(default_factory=set)

    def wanted(self) -> dict[str, int]:
        """The files to be read now, each from an offset."""
        return {
            self._segment(attempt, segment): offset
            for attempt, (current, start) in self._places()
            for segment, offset in ((current, start), (current + 1, 0))
        }

    def take(self, contents: Mapping[str, bytes]) -> tuple[list[Report], bool]:
        """Take what was read of the files that were wanted, and move the positions on.

        Returns:
            The new records, each with its attempt; and whether there is more to be read.
        """
        reports: list[Report] = []
        more = False
        for attempt, (segment, offset) in self._places():
            data = contents.get(self._segment(attempt, segment))
            if data is None:
                continue
            records, consumed = decode_lines(data)
            reports += ((attempt, record) for record in records)
            place = [segment, offset + consumed]
            if self._segment(attempt, segment + 1) in contents:
                # It is complete now; it may not have been yet when it was read.
                more = True
                if (attempt, segment) in self._closed:
                    self._closed.discard((attempt, segment))
                    place = [segment + 1, 0]
                else:
                    self._closed.add((attempt, segment))
            if place != [0, 0]:
                self.positions = {**self.positions, str(attempt): place}
        return reports, more

    def heartbeat(self, host: Host) -> bytes:
        """What the last attempt changes as long as it lives; empty before there is one."""
        last = max(self._attempts(host), default=None)
        return b"" if last is None else read_if_there(host, self._attempt(last) / "heartbeat")

    def supersede(self, host: Host) -> None:
        """Claim the batch, so that a worker which no signal reaches ends by itself."""
        host.mkdir(str(self._attempt(max(self._attempts(host), default=0) + 1)))

    def _places(self) -> list[tuple[int, list[int]]]:
        """By attempt, in order, where to read: the known ones, and those that may come."""
        known = {int(attempt): place for attempt, place in self.positions.items()}
        last = max(known, default=0)
        ahead = range(last + 1, last + 1 + ATTEMPTS_AHEAD)
        everything = {**{k: [0, 0] for k in range(1, last)}, **known, **{k: [0, 0] for k in ahead}}
        return sorted(everything.items())

    def _attempts(self, host: Host) -> list[int]:
        found = (name.removeprefix("attempt-") for name in names(host, self.folder))
        return [int(number) for number in found if number.isdigit()]

    def _attempt(self, number: int) -> PurePosixPath:
        return self.folder / f"attempt-{number}"

    def _segment(self, attempt: int, number: int) -> str:
        return f"{self.folder}/attempt-{attempt}/results-{number:04d}"


def read_results(
    host: Host, followers: Sequence[ResultsFollower]
) -> Iterator[tuple[ResultsFollower, list[Report]]]:
    """Read what is new of many batches, with as few questions to the host as possible."""
    left = list(followers)
    while left:
        wanted = {path: offset for follower in left for path, offset in follower.wanted().items()}
        contents = host.read_many(wanted)
        unfinished = []
        for follower in left:
            reports, more = follower.take(contents)
            if reports:
                yield follower, reports
            if more:
                unfinished.append(follower)
        left = unfinished
