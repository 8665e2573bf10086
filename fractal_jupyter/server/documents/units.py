"""Units of jobs."""

from __future__ import annotations

from typing import Literal

from fractal_jupyter.server.documents.answer import Answer, Json

UnitStatus = Literal["pending", "running", "done", "failed", "cancelled", "interrupted"]


class UnitSummary(Answer):
    """One process of a step, without what may be large."""

    index: int
    step: int
    phase: Literal["non_parallel", "parallel"]
    zarr_url: str | None
    status: UnitStatus
    error: str | None
    problem: str | None
    exit_code: int | None
    signal: int | None
    started: float | None
    ended: float | None
    peak_memory: int | None
    cpu_seconds: float | None
    node: str | None


class UnitDocument(UnitSummary):
    """One process of a step, with the arguments that differ between units."""

    args: Json
