"""How the program in `on_host` gets to a host: as text on the standard input of an interpreter.

So nothing has to be installed or written there, nothing shows up on the command line (where
other users could read it), and one command does everything, whatever the distance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["MODULES", "program"]

MODULES = (
    "messages",
    "claim",
    "bytecode",
    "tools",
    "exact",
    "contents",
    "inspection",
    "installing",
    "usage",
    "build",
    "pixi",
)

# Makes a package of the texts it reads, and calls `main` of the one that is asked for. The
# document is handed on, so that the program can start a part of itself on another interpreter.
_BOOTSTRAP = """\
import json, sys, types
document = json.loads(sys.stdin.buffer.read().decode())
package = sys.modules["on_host"] = types.ModuleType("on_host")
package.__path__ = []
for name, text in document["modules"]:
    module = sys.modules["on_host." + name] = types.ModuleType("on_host." + name)
    module.__package__ = "on_host"
    setattr(package, name, module)
    exec(compile(text, "on_host/" + name + ".py", "exec"), module.__dict__)
sys.exit(sys.modules["on_host." + document["main"]].main(document))
"""


def program(python: str, main: str, request: Mapping[str, Any]) -> tuple[list[str], bytes]:
    """Return the command and the standard input that run a part of `on_host`.

    Args:
        python: path of the interpreter on the host.
        main: the module whose `main` is called.
        request: what `main` finds as `document["request"]`.

    Returns:
        The command, and its standard input.
    """
    document = {
        "bootstrap": _BOOTSTRAP,
        "modules": _texts(),
        "main": main,
        "request": request,
    }
    return [python, "-I", "-c", _BOOTSTRAP], json.dumps(document).encode()


@cache
def _texts() -> list[tuple[str, str]]:
    """Return the modules in the order in which they import each other."""
    folder = resources.files("fractal_jupyter.environments.on_host")
    return [(name, (folder / f"{name}.py").read_text(encoding="utf-8")) for name in MODULES]
