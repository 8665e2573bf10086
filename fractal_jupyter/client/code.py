"""The Python cell that would submit what was submitted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from fractal_jupyter.models.workflow import StepMeta
from fractal_jupyter.store.records import JobRecord, StepRecord
from fractal_jupyter.store.store import STORE_VARIABLE, Store, default_url

BYTES_PER_MB = 1_000_000
WIDTH = 88
_METAS = ("meta_non_parallel", "meta_parallel")

Json = dict[str, Any]


def job_code(store: Store, job: JobRecord) -> str:
    """The cell that submits the same as a job of the store."""
    return submission_code(job, store.jobs.steps(job.id), url=_url_to_give(store))


def _url_to_give(store: Store) -> str | None:
    """The URL that a cell must give to `Fractal`; None where it finds the store by itself.

    That of a server is left out as well: it may hold a password.
    """
    own = make_url(os.environ.get(STORE_VARIABLE) or default_url()).database
    path = store.database.path
    return None if path is None or path == Path(own or "").absolute() else store.url


def submission_code(job: JobRecord, steps: Sequence[StepRecord], *, url: str | None) -> str:
    """The cell that submits the same as a job: pure.

    Args:
        job: The job.
        steps: Its steps.
        url: The URL of the store; None for that of `Fractal()`.
    """
    lines = [
        "from fractal_jupyter import Fractal",
        "",
        f"fractal = Fractal({'' if url is None else literal(url)})",
    ]
    documents = [_step(step) for step in steps]
    single = _single(documents[0], steps[0].request["entry"]) if len(documents) == 1 else None
    if single is None:
        # a name of its own: that of the job may be one of a workflow that has changed since
        title = f"{job.name} (job {job.id})"
        lines.append(
            _call(
                "workflow = fractal.workflows.create",
                [literal(title)],
                {"steps": documents, "exist_ok": True},
            )
        )
        what, given = "workflow", {"name": job.name}
    else:
        what, given = literal(single.pop("task")), single
        if job.name != documents[0]["task"]:
            given["name"] = job.name
    options = {**given, **_submission(job)}
    lines.append(_call("job = fractal.submit", [what, literal(job.dataset_name)], options))
    lines.append("job")
    return "\n".join(lines) + "\n"


def _step(step: StepRecord) -> Json:
    """A step as workflows have it, with nothing in it that goes without saying."""
    asked, entry = step.request, step.request["entry"]
    given = {
        **{name: asked[name] for name in ("args_non_parallel", "args_parallel")},
        **{name: _said(asked[name], entry.get(name)) for name in _METAS},
        "type_filters": asked["type_filters"],
    }
    return {
        "task": step.task_name,
        "version": step.version,
        "package": step.package,
        **{name: value for name, value in given.items() if value},
        **({} if asked["warm"] else {"warm": False}),
    }


def _said(meta: Json, manifest: Json | None) -> Json:
    """What a step's meta says beyond the manifest."""
    known = {k: v for k, v in (manifest or {}).items() if k in StepMeta.model_fields}
    default = StepMeta.model_validate(known).model_dump(mode="json", exclude_unset=True)
    return {k: v for k, v in meta.items() if k not in default or default[k] != v}


def _single(step: Json, entry: Json) -> Json | None:
    """What `submit` takes of a task's only step; None where it has no words for that."""
    parts = [name for name in _METAS if f"executable_{name.removeprefix('meta_')}" in entry]
    metas = [step.get(name, {}) for name in parts]
    if "type_filters" in step or "warm" in step or any(meta != metas[0] for meta in metas):
        return None
    left_out = ("package", *_METAS)
    options = {name: value for name, value in step.items() if name not in left_out}
    return {**options, "meta": metas[0]} if metas[0] else options


def _submission(job: JobRecord) -> Json:
    """What belongs to the submission as a whole."""
    asked = job.request
    limit = asked["memory_limit"]
    given = {
        "profile": job.profile_name,
        "type_filters": asked["type_filters"],
        "attribute_filters": asked["attribute_filters"],
        "account": asked["account"],
        "worker_init": asked["worker_init"],
        "memory_limit": None if limit is None else limit // BYTES_PER_MB,
        "warm": None if asked["warm"] else False,
        "rerun_interrupted": asked["rerun_interrupted"] or None,
    }
    return {name: value for name, value in given.items() if value not in (None, {})}


def literal(value: Any, indent: int = 0, *, before: int = 0) -> str:
    """A JSON value as Python source, one item a line where it is too long for one.

    Args:
        value: The value.
        indent: How far the line is indented that it begins on.
        before: How much stands on that line before it.
    """
    line = _one_line(value)
    if indent + before + len(line) < WIDTH or not isinstance(value, (dict, list)) or not value:
        return line
    pad = " " * (indent + 4)
    if isinstance(value, dict):
        items = [
            f"{pad}{_text(key)}: {literal(item, indent + 4, before=len(key) + 4)},"
            for key, item in value.items()
        ]
        return "\n".join(["{", *items, " " * indent + "}"])
    items = [f"{pad}{literal(item, indent + 4)}," for item in value]
    return "\n".join(["[", *items, " " * indent + "]"])


def _one_line(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(k)}: {_one_line(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_one_line, value)) + "]"
    return repr(value)


def _text(value: str) -> str:
    """A string in double quotation marks; what cannot be seen is written as an escape."""
    return repr(value) if '"' in value else '"' + repr("'" + value)[2:]


def _call(function: str, positional: Sequence[str], options: Mapping[str, Any]) -> str:
    arguments = [
        *positional,
        *(f"{k}={literal(v, 4, before=len(k) + 1)}" for k, v in options.items()),
    ]
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return "\n".join([f"{function}(", *(f"    {argument}," for argument in arguments), ")"])
