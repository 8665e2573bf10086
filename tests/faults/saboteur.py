"""Runs a supervisor that dies, or stops, at an exact moment: `python saboteur.py SPECIFICATION`.

The specification is JSON: `point` (`module:Class.function`), `moment` (`before` or `after`),
`call` (1 for the first, 0 for all), `signal` (its name) or `error` (`module:Class`), and
`settings` (values by `module:NAME`). Without a point it is a supervisor as any other, with these
settings.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any


def main() -> int:
    specification = json.loads(sys.argv[1])
    for name, value in specification["settings"].items():
        owner, attribute = _find(name)
        setattr(owner, attribute, value)
    if "point" in specification:
        _sabotage(specification)
    from fractal_jupyter.runner.__main__ import main as supervise

    return supervise()


def _find(name: str) -> tuple[Any, str]:
    module, _, path = name.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, attribute = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    return owner, attribute


def _sabotage(specification: Mapping[str, Any]) -> None:
    owner, attribute = _find(specification["point"])
    original = getattr(owner, attribute)
    calls = itertools.count(1)

    def sabotaged(*args: Any, **options: Any) -> Any:
        now = next(calls) == specification["call"] or not specification["call"]
        if now and specification["moment"] == "before":
            _strike(specification)
        result = original(*args, **options)
        if now and specification["moment"] == "after":
            _strike(specification)
        return result

    setattr(owner, attribute, sabotaged)


def _strike(specification: Mapping[str, Any]) -> None:
    if "error" in specification:
        owner, name = _find(specification["error"])
        raise getattr(owner, name)("made up by a test")
    # To this very thread: a signal to the process may stop it an instant later.
    signal.pthread_kill(threading.get_ident(), signal.Signals[specification["signal"]])


if __name__ == "__main__":
    os.chdir("/")
    sys.exit(main())
