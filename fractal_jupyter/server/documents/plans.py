"""What submissions would run."""

from __future__ import annotations

from typing import Literal, Self

from fractal_jupyter.client.plans import Plan, PlannedStep
from fractal_jupyter.server.documents.answer import Answer, Json


class PlannedPhaseDocument(Answer):
    """One phase of a step that would run; null where only the step before can tell."""

    name: Literal["non_parallel", "parallel"]
    args: Json
    units: int | None
    batches: list[int] | None
    side_by_side: int | None
    script: str | None


class PlannedStepDocument(Answer):
    """One step that would run; `images` is how many it gets."""

    position: int
    task: str
    package: str
    type_filter: dict[str, bool]
    images: int | None
    phases: list[PlannedPhaseDocument]

    @classmethod
    def of(cls, step: PlannedStep) -> Self:
        """Make it of a step of a plan."""
        return cls(
            position=step.position,
            task=step.task,
            package=step.package,
            type_filter=step.type_filter,
            images=None if step.images is None else len(step.images),
            phases=[PlannedPhaseDocument.model_validate(phase) for phase in step.phases],
        )


class PlanDocument(Answer):
    """What a submission would run."""

    name: str
    dataset: str
    resource: str
    profile: str
    steps: list[PlannedStepDocument]

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Make it of a plan."""
        return cls(
            name=plan.name,
            dataset=plan.dataset,
            resource=plan.resource,
            profile=plan.profile,
            steps=[PlannedStepDocument.of(step) for step in plan.steps],
        )
