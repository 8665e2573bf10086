"""How the units of a phase get to the scheduler: packed into batches, and found again there."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fractal_jupyter.errors import (
    AccessDenied,
    HostError,
    HostKeyChanged,
    HostKeyUnknown,
    HostUnreachable,
    SchedulerError,
)
from fractal_jupyter.runner.backend import Layout
from fractal_jupyter.runner.batches import ACTIVE, LiveBatch, PhaseUnits, grouped
from fractal_jupyter.schedulers.base import Handle, Submission

# Libraries that would otherwise start as many threads as there are processors, in every unit.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    "VECLIB_MAXIMUM_THREADS",
)

Refusal = tuple[LiveBatch, HostError | SchedulerError]


@dataclass(slots=True, kw_only=True)
class Submitter:
    """Submits the units of a phase.

    Attributes:
        units: The units, and the batches that they are in.
        command: The command line of a unit, without its files of arguments and output.
        common_args: The arguments that all units share.
        meta: The step's meta for this phase.
        cold: Why units must not be forked from a process that has done the imports; None where
            they may be.
        preload: Modules that units are known to load.
    """

    units: PhaseUnits
    command: Sequence[str]
    common_args: Mapping[str, Any]
    meta: Mapping[str, Any]
    cold: str | None
    preload: list[str] = field(default_factory=list)

    def plan(self) -> list[LiveBatch]:
        """Put pending units that are in no batch into new ones, which are to be started."""
        units = self.units
        context, step = units.context, units.step
        batched = frozenset[int]().union(*(live.units for live in units.live.values()))
        rest = [i for i, s in units.statuses.items() if s == "pending" and i not in batched]
        if not rest or context.cancelled():
            return []
        first = context.running.count_batches(context.job.id, step.position, units.phase)
        layout = context.backend.lay_out(len(rest), self.meta, context.job.request)
        records = context.running.add_batches(
            step,
            units.phase,
            name=f"fractal-{context.job.id}-{step.position}-{secrets.token_hex(4)}",
            planned=[
                (
                    number,
                    str(context.paths.batch(step.position, step.task_name, units.phase, number)),
                    [rest[position] for position in positions],
                )
                for number, positions in enumerate(layout.batches, first)
            ],
        )
        return [
            units.follow(record, [rest[position] for position in positions])
            for record, positions in zip(records, layout.batches, strict=True)
        ]

    def start(self, batches: Sequence[LiveBatch]) -> list[Refusal]:
        """Start batches; those that have to wait their turn keep no handle.

        Returns:
            The batches that cannot be started, and why.

        Raises:
            HostUnreachable: They may have been started: to be tried again, not given up.
            AccessDenied: Nobody lets us in any more (a key has gone from its agent, say), nor for
                the keys of the host: that is mended without the job, which waits for it.
        """
        refused: list[Refusal] = []
        for group in grouped(batches).values():
            try:
                self._submit(group)
            except (HostUnreachable, AccessDenied, HostKeyUnknown, HostKeyChanged):
                raise
            except (HostError, SchedulerError) as error:
                refused += [(live, error) for live in group]
        return refused

    def find(self, batches: Iterable[LiveBatch], *, intended: bool) -> set[int]:
        """Find batches that somebody else may have started; return the ids of those found."""
        found: dict[int, Handle] = {}
        for (name, folder), group in grouped(batches).items():
            ids = {live.record.number: live.record.id for live in group}
            handles = self.units.context.backend.scheduler.find(
                name,
                str(folder),
                {live.record.number: live.last for live in group},
                intended=intended,
            )
            found |= {ids[number]: handle for number, handle in handles.items()}
        self._submitted(found)
        return set(found)

    def intend(self, batches: Sequence[LiveBatch]) -> None:
        """Record that batches are to be started again, so that whoever does it looks first."""
        for live in batches:
            live.handle = None
        if batches:
            self.units.context.running.update_batches(
                {
                    live.record.id: {"status": "planned", "fruitless": live.fruitless}
                    for live in batches
                }
            )

    def tidy(self) -> None:
        """Remove what no batch needs any more, when all have ended."""
        context, units = self.units.context, self.units
        context.backend.scheduler.tidy(
            context.running.batch_names(context.job.id, units.step.position, units.phase)
        )

    def _submit(self, batches: Sequence[LiveBatch]) -> None:
        """Submit batches of one name."""
        context = self.units.context
        # Whoever was stopped for a while must not start what another supervisor has started.
        context.running.check()
        for folder in (context.paths.folder, batches[0].folder):
            context.backend.host.mkdir(str(folder))
        accepted = context.backend.scheduler.submit(self._submission(batches))
        self._submitted(
            {
                live.record.id: accepted[live.record.number]
                for live in batches
                if live.record.number in accepted
            }
        )

    def _submission(self, batches: Sequence[LiveBatch]) -> Submission:
        units = self.units
        context, step = units.context, units.step
        args = context.running.unit_args(context.job.id, step.position, units.phase)
        # Never again what has ended, nor what was cut off, unless that is wanted.
        wanted = ACTIVE if units.reruns else ("pending",)
        indexes = {
            live.record.number: sorted(
                i for i, status in units.left(live).items() if status in wanted
            )
            for live in batches
        }
        # As it was planned, however many of the units are left, or have their turn now.
        count = context.running.count_units_of(context.job.id, batches[0].record.name)
        layout = context.backend.lay_out(count, self.meta, context.job.request)
        common = self._common_document(layout)
        return Submission(
            name=batches[0].record.name,
            folder=str(batches[0].folder),
            needs=layout.needs,
            batches={
                number: {
                    **common,
                    "label": f"job {context.job.id}, step {step.position} "
                    f"({step.task_name}), batch {number}",
                    "concurrency": max(1, min(layout.side_by_side, len(some))),
                    "units": [{"index": i, "args": args[i]} for i in some],
                }
                for number, some in indexes.items()
            },
        )

    def _common_document(self, layout: Layout) -> dict[str, Any]:
        context = self.units.context
        request = context.job.request
        return {
            "version": 1,
            "command": list(self.command),
            "cold": self.cold,
            "preload": self.preload,
            "env": {**thread_limits(layout.cpus_per_unit), **request["environment"]},
            "inherit": context.backend.inherits,
            "cwd": None,
            "memory_limit": request.get("memory_limit"),
            "memory_advice": layout.memory_advice,
            "rerun_interrupted": self.units.reruns,
            "heartbeat_interval": 1.0,
            "log_limit": 10_000_000,
            "notify": context.notify if context.backend.notifies else None,
            "common_args": self.common_args,
        }

    def _submitted(self, handles: Mapping[int, Handle]) -> None:
        changes = {}
        for key, handle in handles.items():
            live = self.units.live[key]
            live.started_as(handle)
            changes[key] = {
                "status": "submitted",
                "handle": dict(handle),
                "submissions": live.submissions,
                "fruitless": live.fruitless,
            }
        if changes:
            self.units.context.running.update_batches(changes)
            self.units.context.news()


def thread_limits(cpus: int) -> dict[str, str]:
    """Variables that make numerical libraries keep to the processors that a unit asked for."""
    return dict.fromkeys(THREAD_VARIABLES, str(cpus))
