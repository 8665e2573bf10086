"""Displays outside of notebooks: in terminals, in logs, and where nothing can be shown."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fractal_jupyter.display.live import _JobView
from tests.display.kernels import ROOT
from tests.display.samples import make_snapshot

PROGRAM = """\
import sys
from fractal_jupyter.display.live import LiveJob, wait_with_display
from fractal_jupyter.display.progress import Progress, follow
from tests.display.played import PlayedJob, at_once
"""
WAIT = "print(wait_with_display(PlayedJob(20, bad=2), at_once, None))\n"
LIGHT = "assert 'IPython' not in sys.modules\n"
_CODE = re.compile(r"\x1b\[(\d*)([A-Za-z])|([^\x1b])", re.DOTALL)


def on_screen(written: str) -> list[str]:
    """What a terminal shows that understands cursor movements, in lines."""
    lines, row, column = [""], 0, 0
    for match in _CODE.finditer(written.replace("\r\n", "\n")):
        number, code, character = match.groups()
        if code == "F":
            row, column = row - int(number), 0
            assert row >= 0
        elif code == "K":
            lines[row] = lines[row][:column]
        elif code == "J":
            lines = lines[: row + 1]
            lines[row] = lines[row][:column]
        elif code == "m":
            continue
        elif character == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif character:
            lines[row] = lines[row][:column] + character + lines[row][column + 1 :]
            column += 1
    return lines


def in_terminal(program: str, **environment: str) -> str:
    """Run a program whose standard output is a terminal; return all that it wrote."""
    master, slave = pty.openpty()
    variables = {
        **os.environ,
        "TERM": "xterm",
        "COLUMNS": "80",
        "LINES": "24",
        "PYTHONIOENCODING": "utf-8",
        **environment,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + program], stdout=slave, cwd=ROOT, env=variables
    )
    os.close(slave)
    written = b""
    while True:
        try:
            data = os.read(master, 65_536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        written += data
    os.close(master)
    assert process.wait(60) == 0
    return written.decode()


def in_pipe(program: str, **environment: str) -> list[str]:
    """Run a program whose standard output is a pipe; return its lines."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_a_terminal_is_redrawn_in_place() -> None:
    written = in_terminal(WAIT + LIGHT)
    screen = on_screen(written)
    assert written.count("Played") > 2
    assert sum("Played" in line for line in screen) == 1
    assert any("20 / 20" in line for line in screen)
    assert screen[-2:] == ["True", ""]
    assert max(map(len, screen)) < 80
    # Nothing is cleared before it is written again: nothing blinks.
    assert "\x1b[2J" not in written
    assert not re.search(r"\x1b\[\d+F\x1b\[", written)


def test_a_low_terminal_is_not_scrolled() -> None:
    written = in_terminal(WAIT, LINES="4")
    assert max(int(n) for n in re.findall(r"\x1b\[(\d+)F", written)) <= 3


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {}])
def test_colors_can_be_switched_off(environment: dict[str, str]) -> None:
    written = in_terminal(WAIT, **environment)
    assert ("\x1b[3" in written) is not bool(environment)


def test_a_dumb_terminal_gets_lines() -> None:
    written = in_terminal(WAIT, TERM="dumb")
    assert "\x1b" not in written


def test_a_log_gets_a_line_for_what_matters() -> None:
    lines = in_pipe(WAIT + LIGHT)
    assert lines[0].startswith("Job 12 (Played): running")
    assert lines[-2].startswith("Job 12 (Played): failed; step 0, Project Image: 18 done, 2")
    assert len(lines) <= 4


def test_a_log_gets_a_line_for_a_silence_and_none_for_each_second_of_it() -> None:
    view = _JobView()
    words = (None, "SLURM has not answered for 5 s", "SLURM has not answered for 12 s")
    none, early, late = (view._frame(make_snapshot(waiting_for=why)).milestone for why in words)
    assert none != early == late


def test_showing_in_a_pipe_is_one_picture() -> None:
    lines = in_pipe("LiveJob(PlayedJob(5)).show()")
    assert sum("Played" in line for line in lines) == 1


def test_plain_encodings_are_enough() -> None:
    in_pipe(WAIT, PYTHONIOENCODING="ascii:strict", PYTHONUTF8="0")


@pytest.mark.parametrize(
    "closing", ["sys.stdout.close()", "import os; os.close(1)", "sys.stdout = None"]
)
def test_nobody_has_to_look(closing: str, tmp_path: Path) -> None:
    over = tmp_path / "over"
    program = f"""{PROGRAM}{closing}
with Progress("x") as progress:
    progress.log("line")
if wait_with_display(PlayedJob(5), at_once, None):
    open({str(over)!r}, "w").close()
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60, stdout=subprocess.DEVNULL)
    assert over.exists()


PROGRESS = """
with Progress("Collecting x") as progress:
    for number in range(40):
        progress.log(f"line {number}\\x1b[31m")
    progress.done("x 1.0: 3 tasks")
"""


def test_progress_in_a_terminal_ends_as_its_result() -> None:
    screen = on_screen(in_terminal(PROGRESS))
    assert screen[0].startswith("Collecting x  done")
    assert "x 1.0: 3 tasks" in screen
    assert not any(line.startswith("line") for line in screen)


def test_progress_in_a_log_is_its_beginning_and_its_result() -> None:
    lines = in_pipe(PROGRESS)
    assert lines[0] == "Collecting x"
    assert re.fullmatch(r"Collecting x: x 1.0: 3 tasks \(\S+ m?s\)", lines[-1])


def test_what_takes_no_time_shows_no_progress() -> None:
    shown = "print(follow('Looking', ['one', 'two']))"
    assert in_pipe(shown) == ["['one', 'two']"]
    slow = """
import threading
from fractal_jupyter.display import progress

drawn, draw = threading.Event(), Progress._draw
Progress._draw = lambda self: (draw(self), drawn.set())
progress.DRAW_SECONDS = 0.01

def items():
    yield "one"
    assert drawn.wait(30)
    yield "two"
"""
    lines = in_pipe(slow + shown.replace("['one', 'two']", "items()"))
    assert lines[0].startswith("Looking")
    assert re.fullmatch(r"Looking: done \(\S+ m?s\)", lines[-2])
    assert lines[-1] == "['one', 'two']"


def test_progress_that_fails_keeps_the_last_lines() -> None:
    program = """
try:
    with Progress("Collecting x") as progress:
        progress.log("the reason")
        raise ValueError
except ValueError:
    print("raised")
"""
    screen = on_screen(in_terminal(program))
    assert screen[0].startswith("Collecting x  failed")
    assert "the reason" in screen
    assert "raised" in screen
