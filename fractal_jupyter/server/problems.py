"""From errors to answers: the one place where an error gets its status and its JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from fractal_jupyter import errors
from fractal_jupyter.models.documents import problems_in
from fractal_jupyter.models.problems import Problem, describe

# The status of each kind of error; the first that fits counts.
_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (errors.InvalidDocument, 422),
    (errors.InvalidArguments, 422),
    (errors.NotFound, 404),
    (errors.FileMissing, 422),
    (errors.Ambiguous, 409),
    (errors.AlreadyExists, 409),
    (errors.InUse, 409),
    (errors.NotAllowed, 409),
    (errors.ImageListError, 422),
    (errors.PlanError, 422),
    (errors.CollectionError, 422),
    (errors.HostUnreachable, 503),
    (errors.StoreError, 503),
    (errors.SupervisorFailed, 503),
    # What another machine says to a request that was right.
    (errors.HostError, 502),
    (errors.SchedulerError, 502),
    (errors.FractalError, 409),
)


class FieldProblem(BaseModel):
    """One wrong value: where it is, what was found there, and what is allowed."""

    path: str
    found: str
    allowed: str

    @classmethod
    def of(cls, problem: Problem) -> FieldProblem:
        """Make it of a problem."""
        return cls(path=problem.path, found=describe(problem.found), allowed=problem.allowed)


class ProblemDocument(BaseModel):
    """The answer to a request that cannot be fulfilled.

    Attributes:
        message: What happened, where, and what to do about it.
        reason: The kind of error, as one word: `not_found`, `invalid_document`, …
        fields: The wrong values, where they are known one by one.
    """

    message: str
    reason: str
    fields: list[FieldProblem] | None = None


class BadRequest(Exception):
    """A request whose query or body does not fit its model."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)

    @classmethod
    def of(cls, error: ValidationError, model: type[BaseModel], what: str) -> BadRequest:
        """Make it of what validation found."""
        problems = problems_in(error, model)
        return cls(f"The {what} of the request is wrong: {'; '.join(map(str, problems))}", problems)


def status_of(error: Exception) -> int | None:
    """The status of an answer to an error; None for one that nobody foresaw."""
    if isinstance(error, BadRequest):
        return 422
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), None)


def problem_document(error: Exception) -> ProblemDocument:
    """What is told of an error that was raised on purpose."""
    problems: Sequence[Problem] = getattr(error, "problems", ())
    reason = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
    return ProblemDocument(
        message=str(error),
        reason=reason,
        fields=[FieldProblem.of(problem) for problem in problems] or None,
    )


def plain(message: str, reason: str) -> dict[str, Any]:
    """The JSON of a problem that is no error of ours: a wrong token, say."""
    return ProblemDocument(message=message, reason=reason).model_dump(exclude_none=True)
