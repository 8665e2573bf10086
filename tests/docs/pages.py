"""The pages for people, and the examples in them.

Every ```python block is run: those of a page in order, in one namespace, in a process and a home
directory of the page's own. What a block shows is compared with the page where the page says it:

- `value  # → 3` compares what the expression on that line is, or, of `print(…)`, what it prints;
- a ```text block right after a ```python block is all that the block shows, the error that it ends
  with included. A block that fails without one is a failure of the test.

In both, `…` stands for anything within a line, and a line of `…` alone for any number of lines.
How far apart columns are is not compared, since it depends on what they hold: two spaces or more
are as good as any two or more.

A ```py block is not run: it needs a cluster, or a person. The notebooks have the same, executed.

Comments, which readers do not see, say what an example needs:

- `<!-- run: slow -->` before a block, or at the top of a page for all of its blocks: it needs
  packages from PyPI, and is run by the slow tests only;
- `<!-- store: toys -->` at the top of a page: the store has the toy tasks of the tests;
- `<!-- store: slurm -->`: the toy tasks on the cluster of `docs/slurm.md`, which is not there;
- `<!-- store: hub -->`: none, but the files of `docs/jupyterhub.md` are in `etc/jupyter`;
- `<!-- store: core -->`: the store has fractal-tasks-core. By default there is no store yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATHS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^( *)(```+)([a-z]*)\s*$")
_MARK = re.compile(r"<!--\s*(run|store):\s*(\w+)\s*-->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of code.

    Attributes:
        language: What stands behind the fence.
        source: The lines between the fences.
        line: The number of its first line in the page.
        slow: Whether it needs packages from PyPI.
        shows: What it is said to show; None where the page says nothing.
    """

    language: str
    source: str
    line: int
    slow: bool
    shows: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page.

    Attributes:
        name: Its path below the project, `docs/faq.md`.
        text: All of it.
        blocks: Its blocks of code, in order.
        store: What the store has before the first example: `new`, `toys`, `slurm`, `hub` or `core`.
    """

    name: str
    text: str
    blocks: tuple[Block, ...]
    store: str

    def examples(self, *, slow: bool) -> list[Block]:
        """The blocks that are run: all of them, or those that are not slow."""
        return [b for b in self.blocks if b.language == "python" and (slow or not b.slow)]


def read_pages() -> list[Page]:
    """All pages."""
    return [read_page(str(path.relative_to(ROOT)), path.read_text("utf-8")) for path in PATHS]


def read_page(name: str, text: str) -> Page:
    """Find the examples of a page."""
    head = text.partition("\n#")[0] if not text.startswith("#") else ""
    marks = dict(_MARK.findall(head))
    blocks = tuple(_with_outputs(list(_blocks(text, all_slow=marks.get("run") == "slow"))))
    return Page(name=name, text=text, blocks=blocks, store=marks.get("store", "new"))


def prose(text: str) -> str:
    """A page without its blocks of code and without comments."""
    kept, fence = [], None
    for line in text.splitlines():
        match = _FENCE.match(line)
        if fence is None and match:
            fence = match[2]
        elif fence is None:
            kept.append(line)
        elif match and match[2] == fence and not match[3]:
            fence = None
    return re.sub(r"<!--.*?-->", "", "\n".join(kept), flags=re.DOTALL)


def matches(expected: str, found: str) -> bool:
    """Whether a text is as a page says; `…` stands for anything."""
    lines = []
    for line in _stripped(expected):
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*")
        else:
            lines.append(".*".join(_loosely(part) for part in line.split("…")) + r"\n")
    text = "".join(f"{line}\n" for line in _stripped(found))
    return re.fullmatch("".join(lines), text) is not None


def _loosely(text: str) -> str:
    """A pattern for a part of a line."""
    return " {2,}".join(re.escape(column) for column in re.split(" {2,}", text))


def _stripped(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").rstrip().splitlines()]


def _blocks(text: str, *, all_slow: bool) -> Iterator[tuple[Block, int]]:
    """Yield each block, and the number of the line behind it."""
    lines = text.splitlines()
    number, slow = 0, False
    while number < len(lines):
        line = lines[number]
        if mark := _MARK.fullmatch(line.strip()):
            slow = mark[1] == "run" and mark[2] == "slow"
        elif fence := _FENCE.match(line):
            end = next(
                (k for k in range(number + 1, len(lines)) if lines[k] == fence[1] + fence[2]),
                len(lines),
            )
            inside = [inner.removeprefix(fence[1]) for inner in lines[number + 1 : end]]
            block = Block(
                language=fence[3],
                source="\n".join(inside),
                line=number + 2,
                slow=slow or all_slow,
            )
            number, slow = end, False
            yield block, end + 1
        elif line.strip():
            slow = False
        number += 1


def _with_outputs(found: list[tuple[Block, int]]) -> Iterator[Block]:
    """Give each example the text that follows at once."""
    following = [*(block for block, _ in found[1:]), None]
    for (block, end), after in zip(found, following, strict=False):  # there may be none
        # An empty line, and the fence of the next block.
        at_once = after is not None and after.language == "text" and after.line - 2 <= end + 1
        if block.language == "python" and at_once and after is not None:
            yield Block(
                language=block.language,
                source=block.source,
                line=block.line,
                slow=block.slow,
                shows=after.source,
            )
        else:
            yield block
