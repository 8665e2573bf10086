"""Reading what workers report: complete lines only, from where the last reading ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from fractal_jupyter.hosts.base import Host
from fractal_jupyter.runner.files import names, read_if_there
from fractal_jupyter.worker.records import decode_lines

Positions = dict[str, list[int]]


@dataclass(slots=True)
class ResultsFollower:
    """Follows the results files of all attempts at one batch.

    Attributes:
        host: Where the files are.
        folder: The batch's folder.
        positions: By attempt, the number of the segment that is being read and the offset in it.
    """

    host: Host
    folder: PurePosixPath
    positions: Positions = field(default_factory=dict)

    def read(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield the new records, each with its attempt, and move the positions on."""
        for attempt in self._attempts():
            yield from ((attempt, record) for record in self._read_attempt(attempt))

    def heartbeat(self) -> bytes:
        """What the last attempt changes as long as it lives; empty before there is one."""
        attempts = self._attempts()
        if not attempts:
            return b""
        return read_if_there(self.host, self._attempt(attempts[-1]) / "heartbeat")

    def supersede(self) -> None:
        """Claim the batch, so that a worker which no signal reaches ends by itself."""
        number = max(self._attempts(), default=0) + 1
        self.host.mkdir(str(self._attempt(number)))

    def _read_attempt(self, attempt: int) -> Iterator[Mapping[str, Any]]:
        folder = self._attempt(attempt)
        segment, offset = self.positions.get(str(attempt), [0, 0])
        last = max(self._numbers(folder, "results-"), default=-1)
        while segment <= last:
            # Workers begin another segment after a few MB, so this is never a large file.
            data = self.host.read(str(folder / f"results-{segment:04d}"), offset)
            records, consumed = decode_lines(data)
            offset += consumed
            yield from records
            if segment == last:
                break
            segment, offset = segment + 1, 0
        self.positions = {**self.positions, str(attempt): [segment, offset]}

    def _attempts(self) -> list[int]:
        return sorted(self._numbers(self.folder, "attempt-"))

    def _attempt(self, number: int) -> PurePosixPath:
        return self.folder / f"attempt-{number}"

    def _numbers(self, folder: PurePosixPath, prefix: str) -> list[int]:
        return [
            int(name.removeprefix(prefix))
            for name in names(self.host, folder)
            if name.startswith(prefix) and name.removeprefix(prefix).isdigit()
        ]
