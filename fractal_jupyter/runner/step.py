"""One step of a job: select images, run its phases, merge what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from fractal_jupyter.engine.filters import select_inputs, step_type_filter
from fractal_jupyter.engine.merging import UnitOutput, merge
from fractal_jupyter.engine.planning import (
    UnitPlan,
    plan_compute,
    plan_non_parallel,
    plan_parallel,
)
from fractal_jupyter.models.bulk import collector_paused
from fractal_jupyter.models.images import (
    Image,
    TaskOutput,
    parse_init_output,
    parse_task_output,
)
from fractal_jupyter.models.manifest import TaskEntry
from fractal_jupyter.runner.batches import PhaseUnits
from fractal_jupyter.runner.context import JobContext
from fractal_jupyter.runner.phase import PhaseRun
from fractal_jupyter.runner.submitting import Submitter
from fractal_jupyter.store.records import StepRecord, UnitRecord

NON_PARALLEL, PARALLEL = "non_parallel", "parallel"
PHASES: Mapping[str, tuple[str, ...]] = {
    "parallel": (PARALLEL,),
    "non_parallel": (NON_PARALLEL,),
    "converter_non_parallel": (NON_PARALLEL,),
    "compound": (NON_PARALLEL, PARALLEL),
    "converter_compound": (NON_PARALLEL, PARALLEL),
}


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """How a step ended: `done`, `failed` or `cancelled`, and the error in words."""

    status: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StepRun:
    """Runs one step of a job, from wherever it was left.

    Attributes:
        context: The job.
        step: The step.
        running_filter: The job's type filter, with the output types of the steps before.
    """

    context: JobContext
    step: StepRecord
    running_filter: Mapping[str, bool]

    @property
    def entry(self) -> TaskEntry:
        """The task, as its manifest describes it."""
        return TaskEntry.model_validate(self.step.request["entry"])

    def run(self) -> StepOutcome:
        """Run what is missing; errors of images and outputs propagate."""
        entry = self.entry
        phases = PHASES[entry.type]
        statuses: dict[int, str] = {}
        for number, phase in enumerate(phases):
            if self.step.phases_planned <= number:
                if self.context.cancelled():
                    return StepOutcome("cancelled")
                self.plan(entry, phase)
            statuses = self._phase_run(entry, phase, phases).run()
            if any(status != "done" for status in statuses.values()):
                break
        else:
            phase = phases[-1]
        if phase == phases[-1]:
            self.merge(entry, phase if statuses else phases[0])
        return self._outcome(statuses)

    # planning

    @collector_paused()
    def plan(self, entry: TaskEntry, phase: str) -> None:
        """Select the images of a phase, and add its units to the store."""
        running, step = self.context.running, self.step
        type_filter = step_type_filter(
            running=self.running_filter,
            input_types=entry.input_types,
            step_filters=step.request["type_filters"],
        )
        if phase == PARALLEL and entry.has_non_parallel:
            items = self._init_items()
            plans: Sequence[UnitPlan] = plan_compute(items, step.request["args_parallel"])
        else:
            plans = plan_first_phase(
                entry,
                self._select(entry, type_filter),
                step.request,
                zarr_dir=self.context.job.request["zarr_dir"],
            )
        shared = step.request[f"args_{phase}"].keys()
        running.add_units(
            step,
            phase=phase,
            planned=[
                (plan.zarr_url, {k: v for k, v in plan.args.items() if k not in shared})
                for plan in plans
            ],
            type_filter=type_filter,
        )

    def _select(self, entry: TaskEntry, type_filter: Mapping[str, bool]) -> list[Image]:
        return select_inputs(
            self.context.running.images(self.context.job.dataset_id),
            task_name=entry.name,
            task_type=entry.type,
            type_filter=type_filter,
            attribute_filters=self.context.job.request["attribute_filters"],
        )

    def _init_items(self) -> Sequence[Any]:
        return parse_init_output(self._first_unit().output).parallelization_list

    def _first_unit(self) -> UnitRecord:
        return self.context.running.only_unit(self.context.job.id, self.step.position, NON_PARALLEL)

    # running

    def _phase_run(self, entry: TaskEntry, phase: str, phases: Sequence[str]) -> PhaseRun:
        request = self.step.request
        meta = request[f"meta_{phase}"]
        units = PhaseUnits(
            context=self.context, step=self.step, phase=phase, is_init=phase != phases[-1]
        )
        submitter = Submitter(
            units=units,
            command=unit_command(entry, request, phase),
            common_args=request[f"args_{phase}"],
            meta=meta,
            cold=self._cold(meta),
        )
        return PhaseRun(units=units, submitter=submitter)

    def _cold(self, meta: Mapping[str, Any]) -> str | None:
        """Why units must not be forked from a process that has done the imports, if so."""
        job = self.context.job.request
        if meta.get("needs_gpu"):
            return "units that need a GPU are processes of their own"
        for switch, what in (
            (job["warm"], "job"),
            (self.step.request["warm"], "step"),
            (job["resource_warm"], "resource"),
        ):
            if not switch:
                return f"switched off for the {what}"
        return None

    # merging

    @collector_paused()
    def merge(self, entry: TaskEntry, phase: str) -> None:
        """Merge the outputs of the units that succeeded; the others do not undo them.

        `phase` is the last one, or the first when it has asked for no unit of the last. An input
        that the user has taken off the list meanwhile stays off it, whatever its unit says.
        """
        last = PHASES[entry.type][-1]
        running, job = self.context.running, self.context.job
        units = running.outputs(job.id, self.step.position, phase)
        images = {image.zarr_url: image for image in running.images(job.dataset_id)}
        inputs = self._inputs(entry)
        outputs: dict[bool, list[UnitOutput]] = {True: [], False: []}
        for unit in units:
            output = parse_task_output(unit.output) if phase == last else TaskOutput()
            outputs[unit.merged].append(UnitOutput(unit.unit, unit.zarr_url, output))
        if not outputs[False]:
            return
        merged = merge(
            images,
            _without(set(inputs) - images.keys(), outputs[False], earlier=outputs[True]),
            zarr_dir=job.request["zarr_dir"],
            output_types=entry.output_types,
            inputs=inputs,
            task_type=entry.type,
            earlier=outputs[True],
        )
        running.merge_images(
            job.dataset_id,
            self.step,
            phase,
            added=merged.added,
            changed=merged.changed,
            removed=merged.removed,
        )

    def _inputs(self, entry: TaskEntry) -> list[str]:
        """The inputs of the step: what its units were given, whatever the list is now."""
        if entry.is_converter:
            return []
        if entry.type == "parallel":
            return self.context.running.unit_urls(self.context.job.id, self.step.position, PARALLEL)
        return list(self._first_unit().args["zarr_urls"])

    def _outcome(self, statuses: Mapping[int, str]) -> StepOutcome:
        counts = Counter(statuses.values())
        bad = len(statuses) - counts["done"]
        if not bad:
            return StepOutcome("done")
        if self.context.cancelled():
            return StepOutcome("cancelled", None)
        return StepOutcome("failed", self._failure(counts, len(statuses)))

    def _failure(self, counts: Mapping[str, int], total: int) -> str:
        parts = [
            f"{n:,} {status}"
            for status in ("failed", "interrupted", "cancelled")
            if (n := counts.get(status, 0))
        ]
        first = self.context.running.first_bad_unit(self.context.job.id, self.step.position)
        where = "" if first.zarr_url is None else f" ({first.zarr_url})"
        done = counts.get("done", 0)
        kept = f" The other {'one is' if done == 1 else f'{done:,} are'} kept." if done else ""
        return (
            f"Step {self.step.position} ({self.step.task_name}): {', '.join(parts)} "
            f"of {total:,} unit{'s' if total > 1 else ''}. "
            f"Unit {first.index}{where}: {_sentence(first.error or first.status)}{kept}"
        )


def _sentence(text: str) -> str:
    """A text that something else may follow: it ends with a full stop, or the like."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _without(
    gone: set[str], outputs: Sequence[UnitOutput], *, earlier: Sequence[UnitOutput]
) -> list[UnitOutput]:
    """The outputs without what they say of images that are gone, unless units removed these."""
    gone = gone.difference(*(unit.output.image_list_removals for unit in earlier))
    if not gone:
        return list(outputs)
    left = [
        UnitOutput(
            unit.unit,
            unit.zarr_url,
            TaskOutput(
                tuple(u for u in unit.output.image_list_updates if u.zarr_url not in gone),
                tuple(url for url in unit.output.image_list_removals if url not in gone),
            ),
        )
        for unit in outputs
    ]
    # That nothing is left of it must not look as if no unit had said anything: all inputs would
    # count as processed.
    said = any(not unit.output.is_empty for unit in outputs)
    return [] if said and all(unit.output.is_empty for unit in left) else left


def plan_first_phase(
    entry: TaskEntry, images: Sequence[Image], request: Mapping[str, Any], *, zarr_dir: str
) -> Sequence[UnitPlan]:
    """The units of the first phase of a task."""
    if not entry.has_non_parallel:
        return plan_parallel(images, request["args_parallel"])
    return plan_non_parallel(
        images, request["args_non_parallel"], zarr_dir=zarr_dir, task_type=entry.type
    )


def unit_command(entry: TaskEntry, request: Mapping[str, Any], phase: str) -> tuple[str, str]:
    """The command line of a unit, without its files of arguments and output."""
    executable = entry.executable_parallel if phase == PARALLEL else entry.executable_non_parallel
    return request["python"], str(PurePosixPath(request["package_root"]) / str(executable))
