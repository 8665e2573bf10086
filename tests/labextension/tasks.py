"""Tasks that log what they were given, with names and schemas for browsers to trip over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fractal_jupyter import Fractal
from tests.toy import add_task_group

SCRIPT = """\
import argparse
import json
import os
import time

parser = argparse.ArgumentParser()
parser.add_argument("--args-json")
parser.add_argument("--out-json")
with open(parser.parse_args().args_json) as file:
    args = json.load(file)
print(args.pop("say", ""))
print(json.dumps(args, sort_keys=True), flush=True)
while args.get("wait"):
    time.sleep(0.1)
if not os.path.exists(args.get("needs") or "/"):
    raise FileNotFoundError(f"there is no {args['needs']}")
"""

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'

RICH: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["zarr_url", "channel"],
    "$defs": {
        "Channel": {
            "type": "object",
            "title": "Channel",
            "additionalProperties": False,
            "required": ["label"],
            "properties": {
                "label": {"type": "string", "title": "Label", "minLength": 2},
                "wavelength": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            },
        },
        "Otsu": {
            "type": "object",
            "additionalProperties": False,
            "required": ["method"],
            "properties": {
                "method": {"const": "otsu"},
                "bins": {"type": "integer", "default": 256, "minimum": 2},
            },
        },
        "Fixed": {
            "type": "object",
            "additionalProperties": False,
            "required": ["method", "level"],
            "properties": {"method": {"const": "fixed"}, "level": {"type": "number"}},
        },
    },
    "properties": {
        "zarr_url": {"type": "string"},
        "channel": {"$ref": "#/$defs/Channel", "description": f"Where to look. {HOSTILE}"},
        "projection": {"enum": ["mip", "mean"], "type": "string", "default": "mip"},
        "overwrite": {"type": "boolean", "default": False},
        "sizes": {"type": "array", "items": {"type": "number"}, "default": [1.5, 3]},
        "names": {"type": "object", "additionalProperties": {"type": "string"}, "default": {}},
        "threshold": {
            "discriminator": {
                "propertyName": "method",
                "mapping": {"otsu": "#/$defs/Otsu", "fixed": "#/$defs/Fixed"},
            },
            "oneOf": [{"$ref": "#/$defs/Otsu"}, {"$ref": "#/$defs/Fixed"}],
        },
        "level": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 2},
    },
}

PLAIN: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["zarr_url"],
    "properties": {
        "zarr_url": {"type": "string"},
        "needs": {"type": "string", "title": "Needs", "description": "A file that must be there."},
        "say": {"type": "string"},
        "wait": {"type": "boolean", "default": False},
    },
}

TASKS = {"Needs File": PLAIN, HOSTILE: PLAIN, "Rich": RICH}


def add_tasks(fractal: Fractal, folder: Path) -> None:
    """Register the tasks as a task group."""
    folder.mkdir()
    (folder / "task.py").write_text(SCRIPT)
    add_task_group(
        fractal._store,
        [
            {
                "name": name,
                "type": "parallel",
                "executable_parallel": "task.py",
                "args_schema_parallel": schema,
            }
            for name, schema in TASKS.items()
        ],
        package="form-tasks",
        folder=str(folder),
    )
