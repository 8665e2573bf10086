"""What a script imports, read from its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from fractal_jupyter.worker.imports import Script, read_script


def script(path: Path, source: str) -> Script:
    file = path / "script.py"
    file.write_text(source)
    return read_script(str(file))


def imported(path: Path, source: str) -> list[str]:
    """Imports in short: `a`, `a:b,c`, with a question mark when optional."""
    return [
        item.module
        + (":" + ",".join(item.names) if item.names else "")
        + ("?" if item.optional else "")
        for item in script(path, source).imports
    ]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import a, b.c as d", ["a", "b.c"]),
        ("from a import b, c as d\nfrom e import *", ["a:b,c", "e:*"]),
        ("from __future__ import annotations\nimport a", ["a"]),
        ("from . import a\nfrom .b import c", []),
        ("try:\n  import a\nexcept ImportError:\n  import b\nelse:\n  import c", ["a?", "c?"]),
        ("with x:\n  import a", ["a"]),
        ("if TYPE_CHECKING:\n  import a", []),
        ("if x:\n  import a\nimport b", ["b"]),
        ("def f():\n  import a\nclass C:\n  import b", []),
        ("import a\nif __name__ == '__main__':\n  from b import c\n  c()", ["a", "b:c"]),
        ("if '__main__' == __name__:\n  import a", ["a"]),
        ("if __name__ != '__main__':\n  import a", []),
    ],
)
def test_imports_that_always_happen_are_found(
    tmp_path: Path, source: str, found: list[str]
) -> None:
    assert imported(tmp_path, source) == found


@pytest.mark.parametrize(
    "change",
    [
        "os.environ['A'] = 'b'",
        "os.environ.update(A='b')",
        "os.environ.setdefault('A', 'b')",
        "del os.environ['A']",
        "environ['A'] = 'b'",
        "os.putenv('A', 'b')",
        "sys.path.insert(0, 'x')",
        "sys.path = []",
        "sys.path += ['x']",
        "sys.modules['x'] = y",
        "os.chdir('/')",
        "f(os.environ)",
        "if True:\n    os.environ['A'] = 'b'",
        "try:\n    x\nexcept E:\n    sys.path.append('x')",
        "with patch(os.environ):\n    pass",
        "def f():\n    os.environ['A'] = 'b'\nf()",
    ],
)
def test_imports_after_a_change_of_what_they_find_are_left_to_the_unit(
    tmp_path: Path, change: str
) -> None:
    found = script(tmp_path, f"import os, sys\n{change}\nimport late\n")
    assert [item.module for item in found.imports] == ["os", "sys"]
    assert not found.steady


@pytest.mark.parametrize(
    "harmless",
    [
        "x = os.environ['A']",
        "x = os.environ.get('A')",
        "x = sys.path[0]",
        "def f():\n    os.environ['A'] = 'b'",
        "x = Path(__file__).parent",
    ],
)
def test_what_only_reads_or_defines_changes_nothing(tmp_path: Path, harmless: str) -> None:
    found = script(tmp_path, f"import os\n{harmless}\nimport late\n")
    assert [item.module for item in found.imports] == ["os", "late"]
    assert found.steady


@pytest.mark.parametrize(
    ("source", "guarded"),
    [
        ("if __name__ == '__main__':\n  pass", True),
        ("if '__main__' == __name__: pass", True),
        ("pass", False),
        ("def f():\n  if __name__ == '__main__': pass", False),
        ("if __name__ == 'main': pass", False),
    ],
)
def test_guard_is_recognised(tmp_path: Path, source: str, guarded: bool) -> None:
    assert script(tmp_path, source).guarded is guarded


def test_script_is_compiled_as_the_interpreter_would(tmp_path: Path) -> None:
    found = script(tmp_path, "x: int = 1\n")
    assert found.code.co_filename == str(tmp_path / "script.py")
    namespace: dict[str, object] = {}
    exec(found.code, namespace)
    assert namespace["__annotations__"] == {"x": int}


@pytest.mark.parametrize("source", [b"x = = 1", b"\0", b"\xff = 1", b"# coding: nothing\n"])
def test_what_cannot_be_compiled_is_refused(tmp_path: Path, source: bytes) -> None:
    path = tmp_path / "script.py"
    path.write_bytes(source)
    with pytest.raises((SyntaxError, ValueError)):
        read_script(str(path))
