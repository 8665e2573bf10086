"""The shape of the package: imports flow downwards only, and importing is quick."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fractal_jupyter

NAME = "fractal_jupyter"
ROOT = Path(fractal_jupyter.__file__).parent

# Bottom up. A part may import itself and what stands in a row above its own, nothing else; so the
# parts of one row know nothing of each other.
LAYERS = (
    ("printable",),
    ("errors", "environment"),
    ("models",),
    ("engine", "hosts", "worker"),
    ("schedulers", "environments"),
    ("store",),
    ("runner",),
    ("administration", "display"),
    ("client",),
    ("magics", "widgets", "server", "demo"),
)
HEIGHT = {part: height for height, parts in enumerate(LAYERS) for part in parts}

# Libraries that take long to import, or that not everybody has; imported where they are needed.
HEAVY = {"IPython", "alembic", "jsonschema", "matplotlib", "ngio", "numpy", "paramiko", "scipy"}

# Modules of the standard library that Python 3.8 did not have.
NEWER_THAN_3_8 = {"graphlib", "tomllib", "zoneinfo"}

MODULES = sorted(ROOT.rglob("*.py"))
PARTS = [path for path in MODULES if path != ROOT / "__init__.py"]

# Folders that are shipped to where there is no fractal_jupyter, and perhaps an old Python.
SHIPPED = (ROOT / "worker", ROOT / "environments" / "on_host")


def part_of(path: Path) -> str:
    """The part of the package that a module belongs to: a folder, or a module at the top."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Absolute names of everything that a module imports, in functions and for types too."""
    package = [NAME, *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def imported_parts(path: Path) -> set[str]:
    """The parts of this package that a module imports."""
    own = (name.split(".") for name in imports(path))
    names = {parts[1] for parts in own if parts[0] == NAME and len(parts) > 1}
    return {"client" if name == "Fractal" else name for name in names} - {"__version__"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PARTS, ids=name_of)
def test_imports_flow_downwards(path: Path) -> None:
    part = part_of(path)
    assert part in HEIGHT, f"say in LAYERS where the part `{part}` belongs"
    upwards = {
        other
        for other in imported_parts(path) - {part}
        if HEIGHT.get(other, len(LAYERS)) >= HEIGHT[part] or part == "worker"
    }
    assert not upwards, f"{name_of(path)} imports {', '.join(sorted(upwards))}"


@pytest.mark.parametrize(
    "path", [path for folder in SHIPPED for path in sorted(folder.rglob("*.py"))], ids=name_of
)
def test_what_is_shipped_needs_nothing_but_python_3_8(path: Path) -> None:
    ast.parse(path.read_text(), str(path), feature_version=(3, 8))
    folder = next(folder for folder in SHIPPED if path.is_relative_to(folder))
    own = ".".join([NAME, *folder.relative_to(ROOT).parts])
    names = {name for name in imports(path) if not f"{name}.".startswith(f"{own}.")}
    modules = {name.split(".")[0] for name in names}
    assert modules <= sys.stdlib_module_names - NEWER_THAN_3_8, sorted(names)


@pytest.mark.parametrize(
    "statement", [f"import {NAME}", f"from {NAME} import Fractal", f"import {NAME}.worker"]
)
def test_import_is_light(statement: str) -> None:
    program = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    assert set(result.stdout.split()).isdisjoint(HEAVY)
