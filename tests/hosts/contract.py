"""What every host promises, as tests; each kind of host has a class that inherits them.

A class says which `capabilities` its host has, and makes a `subject`. The tests that need more
than those are not collected for it (see conftest.py); that the host refuses what it lacks is a
test of its own. So a new kind of host is: a subclass of `HostContract` (and of `CommandContract`
where real processes run), and a fixture.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from fractal_jupyter.errors import (
    CommandFailed,
    CommandTimeout,
    FileMissing,
    HostError,
    UnsupportedOnHost,
)
from fractal_jupyter.hosts.base import Capability, CommandResult, Entry, Host

# What the commands of these tests do; `sys` and `argv` (their own arguments) are there.
PROGRAMS: Mapping[str, str] = {
    "echo": "sys.stdout.write(' '.join(argv))",
    "fail": "sys.stderr.write(argv[1]); sys.exit(int(argv[0]))",
    "copy": "import shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)",
    "words": "import json; print(json.dumps(argv))",
    "environment": "import json, os; print(json.dumps(dict(os.environ)))",
    "where": "import os; print(os.getcwd())",
    "sleep": "import time; print('begun', flush=True); time.sleep(float(argv[0]))",
    "both": "sys.stdout.write(argv[0]); sys.stdout.flush(); sys.stderr.write(argv[1])",
}


def program(name: str, *args: str, python: str) -> list[str]:
    """Return the command that runs one of `PROGRAMS` with a real interpreter."""
    return [python, "-I", "-c", f"import sys; argv = sys.argv[1:]; {PROGRAMS[name]}", *args]


@dataclass(frozen=True)
class Subject:
    """A host to test.

    Attributes:
        host: the host.
        folder: an existing, empty folder on it.
        command: the command for a name of `PROGRAMS` and its arguments.
        place: puts a file (path, content) onto the host behind its back, in an existing folder.
        content: reads a file of the host behind its back.
    """

    host: Host
    folder: str
    command: Callable[..., list[str]]
    place: Callable[[str, bytes], object]
    content: Callable[[str], bytes]


def needs(*capabilities: Capability) -> pytest.MarkDecorator:
    """Mark a test as one for hosts with these capabilities only."""
    return pytest.mark.needs(*capabilities)


REFUSALS: Mapping[Capability, Callable[[Subject], Any]] = {
    Capability.RUN_ANY: lambda s: s.host.run(["uname"]),
    Capability.LIST: lambda s: s.host.list(s.folder),
    Capability.MKDIR: lambda s: s.host.mkdir(f"{s.folder}/new"),
    Capability.READ_OFFSET: lambda s: s.host.read(f"{s.folder}/file", 1),
    Capability.WRITE: lambda s: s.host.write_many({f"{s.folder}/file": b""}),
    Capability.REMOVE: lambda s: s.host.remove(f"{s.folder}/file"),
}


class HostContract:
    """What holds for every host."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)

    @pytest.fixture
    def subject(self) -> Subject:
        raise NotImplementedError

    def test_says_what_it_can_do(self, subject: Subject) -> None:
        assert subject.host.capabilities == self.capabilities
        assert subject.host.name

    @pytest.mark.parametrize("capability", REFUSALS, ids=lambda capability: capability.name)
    def test_refuses_what_it_cannot_do(self, subject: Subject, capability: Capability) -> None:
        subject.place(f"{subject.folder}/file", b"content")
        if capability in self.capabilities:
            REFUSALS[capability](subject)
        else:
            with pytest.raises(UnsupportedOnHost, match=capability.value):
                REFUSALS[capability](subject)

    # Reading, listing, making folders

    def test_reads_a_file_as_it_is(self, subject: Subject) -> None:
        content = bytes(range(256)) * 5000
        subject.place(f"{subject.folder}/a b'$(id)\n;c", content)
        assert subject.host.read(f"{subject.folder}/a b'$(id)\n;c") == content

    def test_reads_an_empty_file(self, subject: Subject) -> None:
        subject.place(f"{subject.folder}/empty", b"")
        assert subject.host.read(f"{subject.folder}/empty") == b""

    def test_reads_again_what_has_grown(self, subject: Subject) -> None:
        for content in (b"one\n", b"one\ntwo\n"):
            subject.place(f"{subject.folder}/log", content)
            assert subject.host.read(f"{subject.folder}/log") == content

    def test_says_that_a_file_is_missing(self, subject: Subject) -> None:
        with pytest.raises(FileMissing, match="nothing-here"):
            subject.host.read(f"{subject.folder}/nothing-here")

    def test_reading_a_folder_is_an_error(self, subject: Subject) -> None:
        with pytest.raises(HostError):
            subject.host.read(subject.folder)

    @needs(Capability.READ_OFFSET)
    @pytest.mark.parametrize(
        ("offset", "limit", "expected"),
        [
            (0, None, b"0123456789"),
            (4, None, b"456789"),
            (4, 3, b"456"),
            (8, 9, b"89"),
            (10, None, b""),
            (99, 5, b""),
            (0, 0, b""),
        ],
    )
    def test_reads_a_part(
        self, subject: Subject, offset: int, limit: int | None, expected: bytes
    ) -> None:
        subject.place(f"{subject.folder}/digits", b"0123456789")
        assert subject.host.read(f"{subject.folder}/digits", offset, limit) == expected

    def test_reads_many_from_where_it_was_left(self, subject: Subject) -> None:
        names = ["plain", "no newline at the end", "a b'$(id)\n;c", "-n", 'quote"', "ü€"]
        files = {f"{subject.folder}/{name}": name.encode() * 3 for name in names}
        for path, content in files.items():
            subject.place(path, content)
        offsets = {path: i for i, path in enumerate(files)}
        expected = {path: files[path][offset:] for path, offset in offsets.items()}
        assert subject.host.read_many(offsets) == expected

    def test_reads_many_leaves_out_what_is_missing(self, subject: Subject) -> None:
        paths = [f"{subject.folder}/{name}" for name in ("full", "empty", "short", "file")]
        for path, content in zip(paths, (b"content", b"", b"123", b"file"), strict=True):
            subject.place(path, content)
        missing = [f"{subject.folder}/none", f"{subject.folder}/no/ne", f"{paths[3]}/below"]
        offsets = {paths[0]: 3, missing[0]: 0, paths[1]: 0, missing[1]: 5, paths[2]: 99}
        offsets[missing[2]] = 0
        expected = {paths[0]: b"tent", paths[1]: b"", paths[2]: b""}
        assert subject.host.read_many(offsets) == expected
        assert subject.host.read_many(dict.fromkeys(missing, 0)) == {}
        assert subject.host.read_many({}) == {}

    def test_reads_many_files_of_any_content(self, subject: Subject) -> None:
        contents = [bytes(range(256)) * 3000, b"\n", b"\0", b"", b"0 5\nhello", b"x" * 100_001]
        files = {f"{subject.folder}/{i:03}": contents[i % 6] for i in range(60)}
        for path, content in files.items():
            subject.place(path, content)
        assert subject.host.read_many(dict.fromkeys(files, 0)) == files
        halves = {path: len(content) // 2 for path, content in files.items()}
        expected = {path: files[path][half:] for path, half in halves.items()}
        assert subject.host.read_many(halves) == expected

    def test_reads_many_while_they_grow(self, subject: Subject) -> None:
        # Each file holds one letter only, so bytes of another file would show.
        paths = {f"{subject.folder}/{letter}": letter.encode() for letter in "abcdefgh"}
        for path, letter in paths.items():
            subject.place(path, letter)
        done = threading.Event()

        def grow() -> None:
            size = 1
            while not done.is_set():
                size += 997
                for path, letter in paths.items():
                    subject.place(path, letter * size)

        grower = threading.Thread(target=grow)
        grower.start()
        try:
            for _ in range(5):
                for path, content in subject.host.read_many(dict.fromkeys(paths, 0)).items():
                    assert content == paths[path] * len(content)
        finally:
            done.set()
            grower.join()

    def test_reading_many_with_a_folder_among_them_is_an_error(self, subject: Subject) -> None:
        subject.place(f"{subject.folder}/file", b"content")
        with pytest.raises(HostError):
            subject.host.read_many({f"{subject.folder}/file": 0, subject.folder: 0})

    @needs(Capability.LIST)
    def test_lists_odd_names(self, subject: Subject) -> None:
        names = ["a\nb", "\n", 'q"uote', "b\\slash", "-l", " ", "tab\t", "ü€", "'", "$(id)", "*"]
        for name in names:
            subject.place(f"{subject.folder}/{name}", b"12")
        found = subject.host.list(subject.folder)
        assert found == tuple(Entry(name, False, 2) for name in sorted(names))

    @needs(Capability.LIST)
    def test_listing_an_empty_folder_or_a_file(self, subject: Subject) -> None:
        assert subject.host.list(subject.folder) == ()
        subject.place(f"{subject.folder}/file", b"")
        with pytest.raises(FileMissing):
            subject.host.list(f"{subject.folder}/file")

    @needs(Capability.LIST)
    def test_lists_by_name(self, subject: Subject) -> None:
        subject.place(f"{subject.folder}/zeta", b"12345")
        subject.place(f"{subject.folder}/.hidden", b"1")
        subject.place(f"{subject.folder}/with space 'n quote", b"12")
        expected = [
            Entry(".hidden", False, 1),
            Entry("with space 'n quote", False, 2),
            Entry("zeta", False, 5),
        ]
        if Capability.MKDIR in self.capabilities:
            subject.host.mkdir(f"{subject.folder}/attempt-1")
            expected.insert(1, Entry("attempt-1", True, 0))
        assert subject.host.list(subject.folder) == tuple(expected)

    @needs(Capability.LIST)
    def test_listing_a_missing_folder_says_so(self, subject: Subject) -> None:
        with pytest.raises(FileMissing, match="nowhere"):
            subject.host.list(f"{subject.folder}/nowhere")

    @needs(Capability.MKDIR)
    def test_makes_a_folder_with_its_parents(self, subject: Subject) -> None:
        assert subject.host.mkdir(f"{subject.folder}/a/b c/d")
        subject.place(f"{subject.folder}/a/b c/d/file", b"there")
        assert subject.host.read(f"{subject.folder}/a/b c/d/file") == b"there"

    @needs(Capability.MKDIR)
    def test_making_a_folder_again_is_fine(self, subject: Subject) -> None:
        subject.host.mkdir(f"{subject.folder}/again")
        subject.host.mkdir(f"{subject.folder}/again")

    @needs(Capability.MKDIR)
    def test_a_folder_cannot_replace_a_file(self, subject: Subject) -> None:
        subject.place(f"{subject.folder}/file", b"")
        with pytest.raises(HostError):
            subject.host.mkdir(f"{subject.folder}/file")

    @needs(Capability.MKDIR)
    def test_making_a_folder_without_its_parent_says_so(self, subject: Subject) -> None:
        with pytest.raises(FileMissing):
            subject.host.mkdir(f"{subject.folder}/none/new", parents=False)

    @needs(Capability.MKDIR)
    def test_exactly_one_claim_succeeds(self, subject: Subject) -> None:
        claims: list[bool] = []
        gate = threading.Barrier(8)

        def claim() -> None:
            gate.wait()
            claims.append(subject.host.mkdir(f"{subject.folder}/claim", exist_ok=False))

        threads = [threading.Thread(target=claim) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(claims) == [False] * 7 + [True]

    # Writing and removing

    @needs(Capability.WRITE)
    def test_writes_many_files(self, subject: Subject) -> None:
        files = {f"{subject.folder}/n {i}.json": bytes([i]) * i * 1000 for i in range(30)}
        subject.host.write_many(files)
        assert {path: subject.content(path) for path in files} == files

    @needs(Capability.WRITE, Capability.LIST)
    def test_replaces_files_and_leaves_nothing_beside_them(self, subject: Subject) -> None:
        path = f"{subject.folder}/state"
        subject.host.write_many({path: b"old and long"})
        subject.host.write_many({path: b"new"})
        assert subject.content(path) == b"new"
        assert subject.host.list(subject.folder) == (Entry("state", False, 3),)

    @needs(Capability.WRITE)
    def test_a_reader_sees_the_old_file_or_the_new_one(self, subject: Subject) -> None:
        path = f"{subject.folder}/state"
        versions = [b"a" * 300_000, b"b" * 300_000]
        subject.host.write_many({path: versions[0]})
        done = threading.Event()
        seen: set[bytes] = set()

        def watch() -> None:
            while not done.is_set():
                seen.add(subject.host.read(path))

        watcher = threading.Thread(target=watch)
        watcher.start()
        for i in range(10):
            subject.host.write_many({path: versions[i % 2]})
        done.set()
        watcher.join()
        assert seen <= set(versions)

    @needs(Capability.WRITE)
    def test_writing_into_a_missing_folder_says_so(self, subject: Subject) -> None:
        with pytest.raises(FileMissing, match="nowhere"):
            subject.host.write_many({f"{subject.folder}/nowhere/file": b""})

    @needs(Capability.WRITE)
    def test_writing_nothing_is_fine(self, subject: Subject) -> None:
        subject.host.write_many({})

    @needs(Capability.REMOVE, Capability.MKDIR)
    def test_removes_a_tree(self, subject: Subject) -> None:
        subject.host.mkdir(f"{subject.folder}/tree/branch")
        subject.host.mkdir(f"{subject.folder}/tree2")
        subject.place(f"{subject.folder}/tree/branch/leaf", b"")
        subject.place(f"{subject.folder}/tree2/leaf", b"stays")
        subject.host.remove(f"{subject.folder}/tree")
        with pytest.raises(FileMissing):
            subject.host.read(f"{subject.folder}/tree/branch/leaf")
        assert subject.content(f"{subject.folder}/tree2/leaf") == b"stays"
        assert subject.host.mkdir(f"{subject.folder}/tree", exist_ok=False)

    @needs(Capability.REMOVE)
    def test_removes_a_file_and_what_is_missing(self, subject: Subject) -> None:
        subject.place(f"{subject.folder}/file", b"")
        for _ in range(2):
            subject.host.remove(f"{subject.folder}/file")
        with pytest.raises(FileMissing):
            subject.host.read(f"{subject.folder}/file")

    # Copying from and to this machine

    @needs(Capability.WRITE)
    def test_puts_a_file(self, subject: Subject, tmp_path: Path) -> None:
        content = bytes(range(256)) * 20_000
        (tmp_path / "local").write_bytes(content)
        subject.host.put(str(tmp_path / "local"), f"{subject.folder}/remote")
        assert subject.content(f"{subject.folder}/remote") == content

    @needs(Capability.WRITE)
    def test_putting_a_missing_file_says_so(self, subject: Subject, tmp_path: Path) -> None:
        with pytest.raises(FileMissing, match="no-such-file"):
            subject.host.put(str(tmp_path / "no-such-file"), f"{subject.folder}/remote")

    def test_gets_a_file(self, subject: Subject, tmp_path: Path) -> None:
        content = bytes(range(256)) * 20_000
        subject.place(f"{subject.folder}/remote", content)
        subject.host.get(f"{subject.folder}/remote", str(tmp_path / "local"))
        assert (tmp_path / "local").read_bytes() == content

    def test_getting_a_missing_file_leaves_nothing(self, subject: Subject, tmp_path: Path) -> None:
        with pytest.raises(FileMissing):
            subject.host.get(f"{subject.folder}/remote", str(tmp_path / "local"))
        assert list(tmp_path.glob("local*")) == []

    # Commands

    @needs(Capability.RUN_ANY)
    def test_runs_a_command(self, subject: Subject) -> None:
        argv = subject.command("echo", "hello", "you")
        result = subject.host.run(argv)
        assert (result.exit_code, result.text, result.stderr) == (0, "hello you", b"")
        assert result.argv == tuple(argv)
        assert result.check() is result

    @needs(Capability.RUN_ANY)
    def test_an_exit_status_is_a_result(self, subject: Subject) -> None:
        result = subject.host.run(subject.command("fail", "3", "it is broken"))
        assert (result.exit_code, result.error_text) == (3, "it is broken")
        with pytest.raises(CommandFailed, match=r"(?s)exit status 3.*it is broken"):
            result.check()

    @needs(Capability.RUN_ANY)
    def test_a_missing_program_is_exit_status_127(self, subject: Subject) -> None:
        result = subject.host.run(["/nowhere/no-such-program", "argument"])
        assert result.exit_code == 127
        assert "no-such-program" in result.error_text

    @needs(Capability.RUN_ANY)
    def test_arguments_are_data(self, subject: Subject) -> None:
        words = ["", "a b", "$(id)", "`id`", "'", '"', "\\", "line\nbreak", "*", "~", "ü€", "-n"]
        result = subject.host.run(subject.command("words", *words))
        assert json.loads(result.text) == words

    @needs(Capability.RUN_ANY)
    def test_standard_input_and_output_of_any_size(self, subject: Subject) -> None:
        content = bytes(range(256)) * 20_000
        result = subject.host.run(subject.command("copy"), stdin=content)
        assert result.stdout == content

    @needs(Capability.RUN_ANY)
    def test_standard_input_is_empty_by_default(self, subject: Subject) -> None:
        assert subject.host.run(subject.command("copy"), timeout=60).stdout == b""

    @needs(Capability.RUN_ANY)
    def test_input_that_nobody_reads_is_no_error(self, subject: Subject) -> None:
        result = subject.host.run(subject.command("echo", "x"), stdin=b"y" * 2_000_000)
        assert (result.exit_code, result.stdout) == (0, b"x")

    @needs(Capability.RUN_ANY)
    def test_tells_output_and_error_output_apart(self, subject: Subject) -> None:
        pieces: list[bytes] = []
        result = subject.host.run(subject.command("both", "out", "err"), on_output=pieces.append)
        assert (result.stdout, result.stderr) == (b"out", b"err")
        assert sorted(b"".join(pieces)) == sorted(b"outerr")

    @needs(Capability.RUN_ANY)
    def test_a_time_limit(self, subject: Subject) -> None:
        begun = time.monotonic()
        with pytest.raises(CommandTimeout, match=r"0\.5 seconds"):
            subject.host.run(subject.command("sleep", "60"), timeout=0.5)
        assert time.monotonic() - begun < 30

    @needs(Capability.RUN_ANY)
    def test_what_on_output_raises_is_raised(self, subject: Subject) -> None:
        class Enough(Exception):
            pass

        def stop(_: bytes) -> None:
            raise Enough

        with pytest.raises(Enough):
            subject.host.run(subject.command("echo", "x"), on_output=stop)

    @pytest.mark.parametrize(
        ("argv", "error"), [("ls -l", TypeError), ([], ValueError), (["a\0b"], ValueError)]
    )
    def test_a_command_is_a_list_of_words(
        self, subject: Subject, argv: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            subject.host.run(argv)


class CommandContract:
    """What holds beyond `HostContract` where commands are real processes."""

    @needs(Capability.RUN_ANY)
    def test_the_environment_is_the_one_given(self, subject: Subject) -> None:
        given = {"ONE": "1 'and' $(more)\nlines", "PATH": "/usr/bin:/bin"}
        result = subject.host.run(subject.command("environment"), env=given)
        found = json.loads(result.check().text)
        assert {name: found[name] for name in given} == given
        # what Python and a shell add by themselves
        assert found.keys() - given.keys() <= {"LC_CTYPE", "PWD", "SHLVL", "_"}

    @needs(Capability.RUN_ANY)
    def test_no_secret_of_this_process_reaches_a_command(
        self, subject: Subject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "SLURM_JOB_ID", "MY_PASSWORD"):
            monkeypatch.setenv(name, "must-not-leak")
        assert "must-not-leak" not in subject.host.run(subject.command("environment")).text

    @needs(Capability.RUN_ANY)
    def test_the_folder_is_the_one_given(self, subject: Subject) -> None:
        result = subject.host.run(subject.command("where"), cwd=subject.folder)
        assert result.text.strip() == subject.folder

    @needs(Capability.RUN_ANY)
    def test_a_missing_folder_is_not_success(self, subject: Subject) -> None:
        result = subject.host.run(subject.command("where"), cwd=f"{subject.folder}/gone")
        assert result.exit_code != 0
        assert "gone" in result.error_text

    @needs(Capability.RUN_ANY, Capability.STREAM)
    def test_output_arrives_while_the_command_runs(self, subject: Subject) -> None:
        class Seen(Exception):
            pass

        def stop_at_first(_: bytes) -> None:
            raise Seen

        begun = time.monotonic()
        with pytest.raises(Seen):
            subject.host.run(subject.command("sleep", "60"), on_output=stop_at_first)
        assert time.monotonic() - begun < 30

    @needs(Capability.RUN_ANY)
    def test_several_commands_at_once(self, subject: Subject) -> None:
        results: list[CommandResult] = []

        def run(word: str) -> None:
            results.append(subject.host.run(subject.command("echo", word)))

        threads = [threading.Thread(target=run, args=(str(i),)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(result.text for result in results) == [str(i) for i in range(8)]
