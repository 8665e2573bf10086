from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest

from fractal_jupyter.errors import HostUnreachable, UnsupportedOnHost
from fractal_jupyter.hosts.base import Capability
from fractal_jupyter.hosts.fake import FakeCall, FakeHost, FakeOutcome

from .contract import HostContract, Subject


def words(call: FakeCall) -> tuple[str, ...]:
    return call.argv[1:]


COMMANDS = {
    "echo": lambda call: FakeOutcome(stdout=" ".join(words(call)).encode()),
    "fail": lambda call: FakeOutcome(int(words(call)[0]), stderr=words(call)[1].encode()),
    "copy": lambda call: FakeOutcome(stdout=call.stdin),
    "words": lambda call: FakeOutcome(stdout=json.dumps(words(call)).encode()),
    "sleep": lambda call: FakeOutcome(stdout=b"begun\n", seconds=float(words(call)[0])),
    "both": lambda call: FakeOutcome(stdout=words(call)[0].encode(), stderr=b"err"),
}
# What is left to a user who may use sudo for a few commands only.
FEW = frozenset({Capability.LIST, Capability.MKDIR})


def subject_of(host: FakeHost, everything: FakeHost) -> Subject:
    """Return a subject whose files are set up through a host that can do everything."""
    everything.mkdir("/data")
    return Subject(
        host=host,
        folder="/data",
        command=lambda name, *args: [name, *args],
        place=lambda path, content: everything.write_many({path: content}),
        content=everything.read,
    )


class TestFakeHost(HostContract):
    @pytest.fixture
    def subject(self) -> Subject:
        host = FakeHost(commands=COMMANDS)
        return subject_of(host, host)


class TestFakeHostOfFewCapabilities(HostContract):
    capabilities: ClassVar[frozenset[Capability]] = FEW

    @pytest.fixture
    def subject(self) -> Subject:
        everything = FakeHost()
        host = FakeHost(capabilities=FEW)
        host.__dict__.update(
            {name: everything.__dict__[name] for name in ("_files", "_folders", "_lock")}
        )
        return subject_of(host, everything)


def test_remembers_what_was_run() -> None:
    host = FakeHost(commands={"sbatch": lambda call: FakeOutcome(stdout=b"7\n")})
    host.run(["sbatch", "--parsable"], stdin=b"#!/bin/sh\n", env={"A": "1"}, cwd="/data")
    assert host.calls == [FakeCall(("sbatch", "--parsable"), b"#!/bin/sh\n", {"A": "1"}, "/data")]


def test_runs_only_its_commands_when_it_cannot_run_any() -> None:
    host = FakeHost(capabilities=FEW, commands={"squeue": lambda call: FakeOutcome(stdout=b"7\n")})
    assert host.run(["squeue"]).text == "7\n"
    with pytest.raises(UnsupportedOnHost, match="run any command"):
        host.run(["rm"])


def test_may_be_out_of_reach() -> None:
    host = FakeHost(commands=COMMANDS)
    host.reachable = False
    with pytest.raises(HostUnreachable, match="fake does not answer"):
        host.run(["echo"])
    with pytest.raises(HostUnreachable):
        host.read("/file")


def test_output_comes_line_by_line_or_at_the_end() -> None:
    commands = {"talk": lambda call: FakeOutcome(stdout=b"one\ntwo\n")}
    for capabilities, expected in [
        (frozenset(Capability), [b"one\n", b"two\n"]),
        (frozenset(Capability) - {Capability.STREAM}, [b"one\ntwo\n"]),
    ]:
        pieces: list[bytes] = []
        FakeHost(capabilities=capabilities, commands=commands).run(
            ["talk"], on_output=pieces.append
        )
        assert pieces == expected


def test_keeps_the_modes(tmp_path: Path) -> None:
    host = FakeHost()
    (tmp_path / "local").touch()
    host.mkdir("/open", mode=0o711)
    host.write_many({"/open/file": b""}, mode=0o644)
    host.put(str(tmp_path / "local"), "/open/program", mode=0o755)
    assert host.modes == {"/open": 0o711, "/open/file": 0o644, "/open/program": 0o755}
    host.remove("/open")
    assert host.modes == {}


def test_paths_are_absolute() -> None:
    with pytest.raises(ValueError, match="absolute"):
        FakeHost().read("file")
