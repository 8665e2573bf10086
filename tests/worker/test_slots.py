"""The files of running units."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fractal_jupyter.worker.segments import Segments
from fractal_jupyter.worker.slots import Slots, read_tail


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    return Slots(str(tmp_path / "slots"), 2)


def test_slots_are_taken_and_given_back(slots: Slots) -> None:
    first, second = slots.take(b"{}"), slots.take(b'{"a": 1}')
    assert {first, second} == {0, 1}
    assert not slots
    assert Path(slots.path(second), "args.json").read_bytes() == b'{"a": 1}'
    slots.release(second)
    assert slots
    assert slots.take(b"new") == second
    assert [path.name for path in Path(slots.path(second)).iterdir()] == ["args.json"]


def test_a_new_unit_gets_new_files(slots: Slots) -> None:
    slot = slots.take(b"old")
    with Path(slots.path(slot), "args.json").open() as kept:
        slots.release(slot)
        assert slots.take(b"new") == slot
        assert kept.read() == "old"


def test_output_is_read(slots: Slots) -> None:
    slot = slots.take(b"{}")
    assert slots.output(slot) is None
    content = os.urandom(300_000)
    Path(slots.path(slot), "out.json").write_bytes(content)
    assert slots.output(slot) == content


@pytest.mark.parametrize("kind", ["folder", "link", "loop"])
def test_output_that_is_no_file_is_an_error(slots: Slots, kind: str) -> None:
    slot = slots.take(b"{}")
    path = Path(slots.path(slot), "out.json")
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/etc/passwd" if kind == "link" else path)
    with pytest.raises(OSError, match=r"directory|symbolic links"):
        slots.output(slot)
    slots.release(slot)


def test_output_that_nobody_writes_is_not_waited_for(slots: Slots) -> None:
    slot = slots.take(b"{}")
    os.mkfifo(Path(slots.path(slot), "out.json"))
    assert slots.output(slot) == b""


def test_whatever_a_unit_leaves_is_removed(slots: Slots) -> None:
    slot = slots.take(b"{}")
    folder = Path(slots.path(slot))
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "c").write_text("x")
    (folder / "link").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    (folder / "name\n\udcff").write_text("")
    slots.release(slot)
    assert list(folder.iterdir()) == []
    assert Path("/etc/passwd").exists()


def test_a_folder_that_a_unit_removed_is_made_again(slots: Slots) -> None:
    slot = slots.take(b"{}")
    folder = Path(slots.path(slot))
    (folder / "args.json").unlink()
    folder.rmdir()
    slots.release(slot)
    assert slots.take(b"{}") == slot


def test_a_folder_that_cannot_be_emptied_is_given_up(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = slots.take(b"{}")
    (Path(slots.path(slot)) / "folder").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda path, ignore_errors: None)
        slots.release(slot)
    assert {slots.take(b"{}"), slots.take(b"{}")} == {1 - slot, 2}


def test_all_is_removed_in_the_end(slots: Slots, tmp_path: Path) -> None:
    slots.take(b"{}")
    slots.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("size", "limit", "dropped"),
    [(0, 10, 0), (10, 10, 0), (11, 10, 1), (11, 11, 0), (12, 11, 2), (5_000_000, 1000, 4_999_000)],
)
def test_logs_are_kept_up_to_a_limit(
    slots: Slots, tmp_path: Path, size: int, limit: int, dropped: int
) -> None:
    logs = Segments(str(tmp_path), "log")
    logs.append(b"before")
    slot = slots.take(b"{}")
    content = os.urandom(size)
    Path(slots.path(slot), "log").write_bytes(content)
    assert slots.log_size(slot) == size
    kept = slots.keep_log(slot, limit, logs)
    data = (tmp_path / "log-0000").read_bytes()[kept.offset :]
    assert (kept.segment, kept.offset, kept.dropped) == (0, 6, dropped)
    assert len(data) == kept.length
    if dropped:
        half = limit // 2
        note = b"\n[... %d bytes left out here ...]\n" % dropped
        assert data == content[:half] + note + content[-half:]
    else:
        assert data == content
    logs.close()


def test_the_end_of_a_log_is_read(slots: Slots) -> None:
    slot = slots.take(b"{}")
    assert slots.log_tail(slot) == b""
    assert slots.log_size(slot) == 0
    path = Path(slots.path(slot), "log")
    path.write_bytes(b"x" * 100_000 + b"end")
    assert slots.log_tail(slot) == b"x" * (65536 - 3) + b"end"
    assert read_tail(str(path)) == slots.log_tail(slot)
