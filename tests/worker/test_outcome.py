"""What became of units, in words."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys

import pytest

from fractal_jupyter.worker import outcome
from fractal_jupyter.worker.outcome import InvalidOutput, compact, ended, last_words


def exit_status(code: int) -> int:
    return code << 8


@pytest.mark.parametrize(
    "value",
    [None, {}, {"a": [1, 2.5, "x\ny", "  spaces  "], "b": {"c": None}}, [], "text", 3, [[]] * 300],
)
@pytest.mark.parametrize("indent", [None, 0, 2, "\t"])
def test_output_is_kept_on_one_line(value: object, indent: int | str | None) -> None:
    line = compact(json.dumps(value, indent=indent).encode())
    assert b"\n" not in line
    assert json.loads(line) == value


def test_output_may_have_what_json_does_not_know() -> None:
    assert compact(b'{"a": NaN,\n "b": -Infinity}') == b'{"a": NaN,"b": -Infinity}'


def test_output_keeps_what_is_not_ascii() -> None:
    assert json.loads(compact('["ö\u2028"]'.encode())) == ["ö\u2028"]


def test_layout_of_a_large_output_is_removed_in_no_time() -> None:
    text = json.dumps({"a": " " * 10_000_000}, indent=1).encode()
    assert len(compact(text)) == len(text) - 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "its output file is empty: it ended while writing it"),
        (b" \n ", "its output file is empty"),
        (b'{"image_list_updates": [{"zarr', "its output file is not JSON: Unterminated string"),
        (b"done", "its output file is not JSON: Expecting value"),
        (b"{} {}", "its output file is not JSON: Extra data"),
        (b'{"a": "\n"}', "its output file is not JSON: Invalid control character"),
        ('{"a": 1}'.encode("utf-16"), "its output file is no UTF-8 text"),
        (b'\xef\xbb\xbf{"a": 1}', "its output file is not JSON"),
        (b'"\xff"', "its output file is no UTF-8 text"),
        (b"[" * 201 + b"]" * 201, "its output is nested more than 200 levels deep"),
        (b'{"a":' * 201 + b"1" + b"}" * 201, "its output is nested more than 200 levels deep"),
        (b"[" * 100_000, "its output file is not JSON"),
    ],
)
def test_output_that_is_no_json_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        compact(data)
    assert str(caught.value).startswith(words)
    judged = ended(0, data, b"")
    assert (judged.status, judged.problem, judged.exit_code) == ("failed", "invalid_output", 0)
    assert judged.message.startswith(f"It ended with exit status 0, but {words}")


def test_output_may_be_as_deep_as_is_allowed() -> None:
    assert compact(b"[" * 200 + b"]" * 200)


def test_no_output_is_fine() -> None:
    assert ended(0, None, b"") == outcome.Outcome("done", exit_code=0)
    assert ended(0, b"null", b"").output == b"null"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("raise ValueError('bad value')", "ValueError: bad value"),
        ("raise RuntimeError('one\\ntwo\\n\\nfour')", "RuntimeError: one\ntwo\n\nfour"),
        ("try: 1/0\nexcept Exception as e: raise KeyError('k') from e", "KeyError: 'k'"),
        ("try: 1/0\nexcept Exception: raise KeyError('k')", "KeyError: 'k'"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("x = = 1", "SyntaxError: invalid syntax"),
        ("import sys; sys.exit('in words')", "in words"),
        ("print('a'); print('b'); raise SystemExit(2)", "b"),
        ("import os; os._exit(3)", ""),
    ],
)
def test_last_words_of_real_programs(program: str, words: str) -> None:
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert last_words(said.stdout + said.stderr) == words


def test_last_words_of_a_group_are_those_of_the_group() -> None:
    program = (
        "def f():\n  raise ExceptionGroup('several', [ValueError('a'), OSError('b')])\n"
        "try: f()\nexcept Exception as e: raise ExceptionGroup('more', [e])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert last_words(said.stderr) == "ExceptionGroup: more (1 sub-exception)"


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        (b"", ""),
        (b"\0\xff\xfe", "\ufffd\ufffd"),
        (b"only this", "only this"),
        (b"Traceback (most recent call last):\n  File", "File"),
        (b"x" * 5000, "x" * 2000),
    ],
)
def test_last_words_of_anything(tail: bytes, words: str) -> None:
    assert last_words(tail) == words


def test_a_disk_that_was_full_when_python_ended_is_told() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        printing = subprocess.run(
            [sys.executable, "-I", "-c", "print()"], stdout=full, stderr=subprocess.DEVNULL
        )
    judged = ended(exit_status(printing.returncode), None, b"")
    assert judged.exit_code == outcome.UNWRITTEN
    assert "disk of the job's folder is not full" in judged.message


def test_signals_are_named_and_explained() -> None:
    killed = ended(signal.SIGSEGV, None, b"Fatal: something\n")
    assert killed.message == (
        "It was killed by SIGSEGV (11). A library that it uses has crashed. "
        "The last it logged: Fatal: something"
    )
    assert (killed.status, killed.signal, killed.exit_code) == ("failed", 11, None)
    assert ended(40, None, b"").message == "It was killed by signal 40."
    assert "Somebody or something outside" in ended(9, None, b"").message


def test_memory_is_told_in_words() -> None:
    assert outcome.over_limit(3_200_000_000, 3_000_000_000, 9).message == (
        "It was stopped when it used 3.2 GB of memory; the limit of a unit is 3.0 GB. Raise the "
        "limit (`memory_limit=` of submit), or let it work on smaller pieces."
    )
    assert outcome.out_of_memory(9, 3_200_000_000, "Ask for more.").message == (
        "It was killed because memory ran out, when it used 3.2 GB. Ask for more."
    )


@pytest.mark.parametrize(
    ("number", "what", "words"),
    [
        (errno.ENOENT, "/env/bin/python", "It could not be started: /env/bin/python: No such file"),
        (errno.EAGAIN, "a new process", "run fewer units side by side"),
        (0, "embedded null byte", "It could not be started: embedded null byte."),
    ],
)
def test_what_cannot_be_started_has_a_cure(number: int, what: str, words: str) -> None:
    assert words in outcome.not_started(number, what).message
