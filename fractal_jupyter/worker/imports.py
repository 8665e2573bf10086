"""What a script imports when it is run, read from its source without running it."""

from __future__ import annotations

import ast
import os
from types import CodeType
from typing import AbstractSet, Iterable, Iterator, List, NamedTuple, Optional, Tuple

# A script that changes one of these decides what its later imports find or do.
_STATE = frozenset(
    {"os.environ", "environ", "sys.path", "sys.meta_path", "sys.path_hooks", "sys.modules"}
)
_CHANGING = frozenset(
    {"os.putenv", "putenv", "os.unsetenv", "unsetenv", "os.chdir", "chdir", "site.addsitedir"}
)
_READING = frozenset({"get", "copy", "items", "keys", "values"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


Version = Tuple[int, int, int]


class Import(NamedTuple):
    """An import statement of a script.

    Attributes:
        module: The module.
        names: What is taken from it, which may be modules too.
        optional: Whether the script goes on when it fails.
    """

    module: str
    names: Tuple[str, ...]
    optional: bool


class Script(NamedTuple):
    """A script that was read.

    Attributes:
        version: What tells this version of the file from another.
        code: The compiled script.
        imports: What it imports whenever it runs as a program, in order, up to the first statement
            that changes what imports find or do (`sys.path`, `os.environ`, …).
        guarded: Whether it says what it does as a program: `if __name__ == "__main__":`.
        steady: Whether there is no such statement, so that all its imports may come early.
    """

    version: Version
    code: CodeType
    imports: Tuple[Import, ...]
    guarded: bool
    steady: bool


def read_script(path: str) -> Script:
    """Read and compile a script.

    Raises:
        OSError: It cannot be read.
        SyntaxError: This Python does not understand it.
        ValueError: It holds a null character.
    """
    version = version_of(path)
    with open(path, "rb") as file:
        source = file.read()
    tree = ast.parse(source, path)
    functions = [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]
    changing = frozenset(f.name for f in functions if any(_changes(x, _CHANGING) for x in f.body))
    imports: List[Import] = []
    steady = True
    for node, optional in _run_always(tree.body):
        if _changes(node, _CHANGING | changing):
            steady = False
            break
        imports += _imports(node, optional)
    return Script(
        version=version,
        code=compile(source, path, "exec", dont_inherit=True),
        imports=tuple(imports),
        guarded=any(_is_guard(statement) for statement in tree.body),
        steady=steady,
    )


def version_of(path: str) -> Version:
    """What tells this version of a file from another; raises OSError."""
    facts = os.stat(path)
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def _run_always(body: Iterable[ast.AST], optional: bool = False) -> Iterator[Tuple[ast.AST, bool]]:
    """What runs whenever the script does, in order, and whether it may fail."""
    for node in body:
        if isinstance(node, ast.If) and _is_guard(node):
            yield from _run_always(node.body, optional)
        elif isinstance(node, ast.With):
            yield from ((item, optional) for item in node.items)
            yield from _run_always(node.body, optional)
        elif isinstance(node, ast.Try):
            yield from _run_always(node.body, True)
            yield from ((handler, True) for handler in node.handlers)
            yield from _run_always([*node.orelse, *node.finalbody], True)
        else:
            yield node, optional


def _is_guard(node: ast.AST) -> bool:
    """Whether it is `if __name__ == "__main__":`, either way round."""
    if not isinstance(node, ast.If) or not isinstance(node.test, ast.Compare):
        return False
    sides = [node.test.left, *node.test.comparators]
    return (
        len(sides) == 2
        and isinstance(node.test.ops[0], ast.Eq)
        and any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
        and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)
    )


def _imports(node: ast.AST, optional: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, (), optional)
    elif isinstance(node, ast.ImportFrom) and not node.level and node.module != "__future__":
        yield Import(str(node.module), tuple(alias.name for alias in node.names), optional)


def _changes(node: ast.AST, changing: AbstractSet[str]) -> bool:
    """Whether running a statement may change what imports find or do.

    What it only defines does not run; what only reads does not change. In doubt it does.
    """
    if isinstance(node, _FUNCTIONS):
        return False
    of_state = isinstance(node, (ast.Subscript, ast.Attribute)) and _dotted(node.value) in _STATE
    if of_state and isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return _changes(node.slice, changing)
    if of_state and isinstance(node, ast.Attribute) and node.attr in _READING:
        return False
    name = _dotted(node)
    if name is not None:
        parts = name.split(".")
        prefixes = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
        return name in changing or not _STATE.isdisjoint(prefixes)
    return any(_changes(child, changing) for child in ast.iter_child_nodes(node))


def _dotted(node: ast.AST) -> Optional[str]:
    """The name that an expression like `os.environ` is; None for other expressions."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return None if before is None else "%s.%s" % (before, node.attr)
    return None
