from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fractal_jupyter.environments.on_host import claim

TAKE = """
import sys
from pathlib import Path
from fractal_jupyter.environments.on_host import claim
sys.stdin.readline()
print(claim.take(Path(sys.argv[1])) is not None, flush=True)
sys.stdin.read()
"""


def pretend(folder: Path, **facts: object) -> None:
    """Change what is known of the owner of a folder."""
    path = folder / ".claim-1" / "claim.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tasks" / "my [tasks]*"


def test_a_folder_is_claimed_once(folder: Path) -> None:
    mine = claim.take(folder)
    assert mine
    assert mine.is_mine()
    assert claim.take(folder) is None
    assert claim.owner_of(folder)
    mine.finish()
    assert claim.owner_of(folder) is None
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_an_empty_folder_can_be_claimed(folder: Path) -> None:
    folder.mkdir(parents=True)
    assert claim.take(folder)


def test_what_is_in_use_otherwise_is_left_alone(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("precious")
    assert claim.take(folder) is None
    assert claim.owner_of(folder) is None
    assert not claim.is_vacant(folder)
    assert [path.name for path in folder.parent.rglob("*")] == [folder.name, "thesis.txt"]


def test_one_of_many_processes_gets_it(folder: Path) -> None:
    command = [sys.executable, "-c", TAKE, str(folder)]
    processes = [
        subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = sorted(process.stdout.readline() for process in processes if process.stdout)
    for process in processes:
        process.communicate()
    assert answers == ["False\n", "False\n", "False\n", "True\n"]
    owner = claim.owner_of(folder)
    assert owner
    assert not owner.is_alive()


def test_abandoning_removes_everything(folder: Path) -> None:
    mine = claim.take(folder)
    assert mine
    (folder / "venv" / "bin").mkdir(parents=True)
    mine.abandon()
    assert list(folder.parent.iterdir()) == []


def test_the_owner_is_alive_while_its_process_is(folder: Path) -> None:
    claim.take(folder)
    owner = claim.owner_of(folder)
    assert owner
    assert owner.is_alive()
    assert str(os.getpid()) in str(owner)


@pytest.mark.parametrize("facts", [{"start": "1"}, {"pid": 2**22 + 1}])
def test_the_owner_is_dead_when_its_process_is_gone(folder: Path, facts: dict[str, object]) -> None:
    claim.take(folder)
    pretend(folder, **facts)
    owner = claim.owner_of(folder)
    assert owner
    assert not owner.is_alive()


def test_on_another_machine_the_heartbeat_decides(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = claim.take(folder)
    assert mine
    pretend(folder, machine="another", host="node7")
    owner = claim.owner_of(folder)
    assert owner
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert owner.is_alive()
    now += claim.SILENCE_SECONDS - 1
    mine.beat()
    assert owner.is_alive()
    now += claim.SILENCE_SECONDS - 1
    assert owner.is_alive()
    now += 2
    assert not owner.is_alive()
    assert "node7" in str(owner)


def test_one_of_many_takes_over(folder: Path) -> None:
    dead = claim.take(folder)
    assert dead
    (folder / "half of it").touch()
    owners = [claim.owner_of(folder) for _ in range(5)]
    successors = [owner and claim.take_over(owner) for owner in owners]
    heirs = [heir for heir in successors if heir]
    assert len(heirs) == 1
    assert not dead.is_mine()
    heirs[0].clear()
    assert [path.name for path in folder.iterdir()] == [".claim-2"]


def test_who_was_taken_over_touches_nothing(folder: Path) -> None:
    dead = claim.take(folder)
    owner = claim.owner_of(folder)
    assert dead
    assert owner
    heir = claim.take_over(owner)
    assert heir
    dead.abandon()
    assert heir.is_mine()


def test_a_folder_that_vanishes_cannot_be_taken_over(folder: Path) -> None:
    mine = claim.take(folder)
    owner = claim.owner_of(folder)
    assert mine
    assert owner
    mine.abandon()
    assert claim.take_over(owner) is None
    assert list(folder.parent.iterdir()) == []


def test_leftovers_beside_the_folder_are_swept_up(folder: Path) -> None:
    parent = folder.parent
    parent.mkdir(parents=True)
    for name in (f".{folder.name}.00000000.old", f".{folder.name}.11111111.new", ".other.2.old"):
        (parent / name).mkdir()
    os.utime(parent / f".{folder.name}.11111111.new", (0, 0))
    fresh = parent / f".{folder.name}.33333333.new"
    fresh.mkdir()
    claim.take(folder)
    left = {path.name for path in parent.iterdir()}
    assert left == {folder.name, ".other.2.old", fresh.name}
