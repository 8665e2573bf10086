from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fractal_jupyter.hosts.ssh_shell import Framed, Script, command_body, launcher

SHELLS = [shell for shell in ("/bin/sh", "/bin/bash", "/bin/tcsh") if shutil.which(shell)]
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


def run(script: Script, *, shell: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """Run a script as sshd has a login shell do it."""
    done = subprocess.run(
        [shell, "-c", launcher(script)], input=script.encoded() + stdin, capture_output=True
    )
    frames = [Framed(script.mark), Framed(script.mark)]
    out, error = (
        frame.feed(output) for frame, output in zip(frames, (done.stdout, done.stderr), strict=True)
    )
    code = frames[0].last
    assert code is not None
    return code, out, error


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=60, deadline=None)
@given(words=st.lists(WORDS, min_size=1, max_size=6), stdin=st.binary(max_size=2000))
def test_words_and_input_are_data(shell: str, words: list[str], stdin: bytes) -> None:
    argv = ["sh", "-c", r'printf "%s\0" "$@"; cat', "sh", *words]
    expected = b"".join(word.encode() + b"\0" for word in words) + stdin
    assert run(Script(command_body(argv, "/")), shell=shell, stdin=stdin) == (0, expected, b"")


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=30, deadline=None)
@given(value=WORDS)
def test_values_of_variables_are_data(shell: str, value: str) -> None:
    script = Script(command_body(["printenv", "A"], None), env={"A": value, "PATH": "/usr/bin"})
    assert run(script, shell=shell) == (0, value.encode() + b"\n", b"")


@given(
    noise=st.binary(max_size=50),
    content=st.binary(max_size=200),
    sizes=st.lists(st.integers(1, 20), min_size=1),
    code=st.integers(0, 255),
)
def test_marks_are_found_however_the_output_is_cut(
    noise: bytes, content: bytes, sizes: list[int], code: int
) -> None:
    mark = "0123456789abcdef"
    whole = noise + f"{mark} 77\n".encode() + content + f"{mark} {code}\n".encode() + b"more"
    frame = Framed(mark)
    found = b""
    position = turn = 0
    while position < len(whole):
        size = sizes[turn % len(sizes)]
        found += frame.feed(whole[position : position + size])
        position, turn = position + size, turn + 1
    assert (frame.noise, found, frame.first, frame.last) == (noise, content, 77, code)


def test_output_is_passed_on_at_once() -> None:
    frame = Framed("mark")
    assert frame.feed(b"mark 1\nbegun\n") == b"begun\n"
    # what may be the beginning of a mark waits for what follows
    assert frame.feed(b"12ma") == b"12"
    assert frame.feed(b"x") == b"max"
