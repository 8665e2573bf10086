"""Reading `batch.json`: what is to be run, and how."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

VERSION = 1


class BatchError(Exception):
    """The batch cannot be read, or is none; the text says what is wrong."""


class Unit(NamedTuple):
    """One process to be: its number among the units of its phase, and its arguments."""

    number: int
    args: Mapping[str, Any]


class Batch(NamedTuple):
    """What one worker runs.

    Attributes:
        label: The batch in words, for people.
        command: What each unit runs, without `--args-json` and `--out-json`.
        concurrency: How many units run side by side.
        cold: Why units must not be forks of a process that has imported what they import; None
            where they may be.
        preload: Modules that such a process imports beyond what the script names.
        env: The complete environment of the units.
        cwd: The working directory of the units; None for a folder of each unit's own.
        memory_limit: Bytes that the processes of one unit may use together; None for no limit.
        memory_advice: What to tell people when memory runs out: how much there is, who gives it.
        rerun_interrupted: Whether units that an earlier attempt started, and did not end, are run
            again.
        heartbeat_interval: Seconds between two signs of life.
        log_limit: Bytes of a unit's log that are kept.
        notify: Path of a Unix datagram socket that is told when there are new records.
        common_args: Arguments of every unit; a unit's own come over them.
        units: In the order in which they are started.
    """

    label: str
    command: Tuple[str, ...]
    concurrency: int
    cold: Optional[str]
    preload: Tuple[str, ...]
    env: Mapping[str, str]
    cwd: Optional[str]
    memory_limit: Optional[int]
    memory_advice: str
    rerun_interrupted: bool
    heartbeat_interval: float
    log_limit: int
    notify: Optional[str]
    common_args: Mapping[str, Any]
    units: Tuple[Unit, ...]

    def side_by_side(self, units: int) -> int:
        """How many of so many units run side by side."""
        return min(self.concurrency, units)


_Kinds = Tuple[type, ...]
_NONE = type(None)
_FIELDS: Dict[str, _Kinds] = {
    "label": (str,),
    "command": (list,),
    "concurrency": (int,),
    "cold": (str, _NONE),
    "preload": (list,),
    "env": (dict,),
    "inherit": (bool,),
    "cwd": (str, _NONE),
    "memory_limit": (int, _NONE),
    "memory_advice": (str,),
    "rerun_interrupted": (bool,),
    "heartbeat_interval": (int, float),
    "log_limit": (int,),
    "notify": (str, _NONE),
    "common_args": (dict,),
    "units": (list,),
}


def read_batch(folder: str) -> Batch:
    """Read `batch.json` of a batch's folder; raises `BatchError`."""
    path = os.path.join(folder, "batch.json")
    try:
        with open(path, "rb") as file:
            document = json.load(file)
    except OSError as error:
        raise BatchError("%s cannot be read: %s." % (path, error.strerror)) from error
    except (ValueError, RecursionError) as error:
        raise BatchError("%s is not JSON: %s." % (path, error)) from error
    problems = list(_problems(document))
    if problems:
        raise BatchError("%s is not a batch: %s." % (path, "; ".join(problems)))
    fields = {name: document[name] for name in _FIELDS}
    if fields.pop("inherit"):
        fields["env"] = {**os.environ, **fields["env"]}
    fields["command"] = tuple(document["command"])
    fields["preload"] = tuple(document["preload"])
    fields["units"] = tuple(Unit(unit["index"], unit["args"]) for unit in document["units"])
    return Batch(**fields)


def _problems(document: object) -> List[str]:
    if not isinstance(document, dict):
        return ["it is no JSON object"]
    if document.get("version") != VERSION:
        return ["its version is %r, this worker knows %d" % (document.get("version"), VERSION)]
    found = []
    for name, kinds in _FIELDS.items():
        if name not in document:
            found.append("`%s` is missing" % name)
        elif not isinstance(document[name], kinds):
            allowed = " or ".join("null" if kind is _NONE else kind.__name__ for kind in kinds)
            found.append("`%s` is %.80r instead of %s" % (name, document[name], allowed))
    if found:
        return found
    if not document["command"] or not all(isinstance(part, str) for part in document["command"]):
        found.append("`command` is not a list of strings")
    if document["concurrency"] < 1:
        found.append("`concurrency` is less than 1")
    if not all(isinstance(value, str) for value in document["env"].values()):
        found.append("`env` has values that are no strings")
    if not all(_is_unit(unit) for unit in document["units"]):
        found.append("`units` has elements without an index and arguments")
    return found


def _is_unit(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("index"), int)
        and isinstance(value.get("args"), dict)
    )


class Arguments:
    """Makes the JSON text of a unit's arguments; what all units share is encoded once."""

    def __init__(self, common: Mapping[str, Any]) -> None:
        self._common = common
        self._text = json.dumps(common)[:-1].encode() if common else b""

    def encode(self, args: Mapping[str, Any]) -> bytes:
        """Return `{**common, **args}` as JSON."""
        if not self._common.keys().isdisjoint(args):
            return json.dumps({**self._common, **args}).encode()
        own = json.dumps(args).encode()
        if not self._text:
            return own
        return self._text + b", " + own[1:] if args else self._text + b"}"
