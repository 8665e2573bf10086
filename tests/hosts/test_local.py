from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from fractal_jupyter.errors import CommandTimeout, FileMissing, HostError
from fractal_jupyter.hosts.local import LocalHost, named_errors
from tests.toy import wait_until

from .contract import CommandContract, HostContract, Subject, program


class TestLocalHost(HostContract, CommandContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        folder = tmp_path / "host"
        folder.mkdir()
        return Subject(
            host=LocalHost(),
            folder=str(folder),
            command=lambda name, *args: program(name, *args, python=sys.executable),
            place=lambda path, content: Path(path).write_bytes(content),
            content=lambda path: Path(path).read_bytes(),
        )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_running(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# A command that starts another one, writes the number of that to a file, and waits.
FAMILY = 'sleep 300 & echo $! > "$0"; wait'


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_modes_are_exact_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    host = LocalHost()
    (tmp_path / "local").write_bytes(b"")
    before = os.umask(umask)
    try:
        host.mkdir(str(tmp_path / "plain"))
        host.mkdir(str(tmp_path / "open"), mode=0o711)
        host.write_many({str(tmp_path / "file"): b""})
        host.write_many({str(tmp_path / "shared"): b""}, mode=0o644)
        host.put(str(tmp_path / "local"), str(tmp_path / "program"), mode=0o755)
    finally:
        os.umask(before)
    names = ("plain", "open", "file", "shared", "program")
    assert [mode(tmp_path / name) for name in names] == [0o700, 0o711, 0o600, 0o644, 0o755]


def test_a_time_limit_ends_all_that_was_started(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(CommandTimeout):
        LocalHost().run(["sh", "-c", FAMILY, str(note)], timeout=1)
    assert not is_running(int(note.read_text()))


def test_what_ignores_the_request_to_end_is_killed() -> None:
    stubborn = "trap '' TERM; while true; do sleep 1; done"
    begun = time.monotonic()
    with pytest.raises(CommandTimeout):
        LocalHost(grace=0.3).run(["sh", "-c", stubborn], timeout=0.3)
    assert time.monotonic() - begun < 5


def test_a_request_to_end_leaves_time_to_clean_up(tmp_path: Path) -> None:
    tidy = 'trap "touch $0; exit 1" TERM; while true; do sleep 0.05; done'
    with pytest.raises(CommandTimeout):
        LocalHost().run(["sh", "-c", tidy, str(tmp_path / "tidied")], timeout=0.5)
    assert (tmp_path / "tidied").exists()


def test_an_interrupt_ends_the_command(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def interrupt() -> None:
        wait_until(lambda: note.exists() and note.read_text().endswith("\n"))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    # What other tests have imported may have taken the signal for itself.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        LocalHost().run(["sh", "-c", FAMILY, str(note)])
    signal.signal(signal.SIGINT, before)
    interrupter.join()
    assert not is_running(int(note.read_text()))


def test_processes_left_in_the_background_are_not_waited_for(tmp_path: Path) -> None:
    result = LocalHost().run(["sh", "-c", "sleep 300 & echo $!"], timeout=60)
    assert result.seconds < 30
    os.kill(int(result.text), signal.SIGKILL)


def test_a_background_process_that_never_stops_writing_is_not_waited_for() -> None:
    result = LocalHost().run(["sh", "-c", "yes >&2 & echo $!"], timeout=60)
    assert result.seconds < 30
    os.kill(int(result.text), signal.SIGKILL)


def test_a_command_may_close_its_output_and_go_on() -> None:
    script = "exec >&- 2>&-; sleep 0.3; exit 4"
    assert LocalHost().run(["sh", "-c", script]).exit_code == 4
    with pytest.raises(CommandTimeout):
        LocalHost().run(["sh", "-c", "exec >&- 2>&-; sleep 60"], timeout=0.3)


def test_a_signal_is_a_negative_exit_status() -> None:
    assert LocalHost().run(["sh", "-c", "kill -9 $$"]).exit_code == -9


def test_commands_are_children_of_the_calling_process_only_until_they_end() -> None:
    host = LocalHost()
    before, children = open_descriptors(), psutil.Process().children()
    for _ in range(20):
        host.run(["true"], stdin=b"x" * 1000)
    assert open_descriptors() == before
    assert set(psutil.Process().children()) <= set(children)


def test_the_terminal_is_not_shared() -> None:
    command = "import os; print(os.getsid(0) == os.getpid())"
    assert LocalHost().run([sys.executable, "-c", command]).text.strip() == "True"


def test_removing_a_link_leaves_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    LocalHost().remove(str(tmp_path / "link"))
    assert (tmp_path / "target" / "file").exists()
    assert not (tmp_path / "link").is_symlink()


def test_removes_a_tree_that_is_still_written_to(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    grow = 'i=0; while :; do i=$((i+1)); mkdir "$0/$i" 2>/dev/null || exit; done'
    with subprocess.Popen(["sh", "-c", grow, str(tree)]) as writer:
        wait_until(lambda: len(list(tree.iterdir())) > 100)
        LocalHost().remove(str(tree))
        writer.wait(20)
    assert not tree.exists()


def test_lists_links_by_what_they_point_to(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "circle").symlink_to("circle")
    found = {entry.name: entry.is_dir for entry in LocalHost().list(str(tmp_path))}
    assert found == {"folder": True, "link": True, "dangling": False, "circle": False}


def test_errors_say_what_where_and_what_to_do(tmp_path: Path) -> None:
    host = LocalHost()
    path = str(tmp_path / "a" / "b")
    with pytest.raises(FileMissing, match=rf"Cannot read {path}: No such file"):
        host.read(path)
    with pytest.raises(HostError, match=r"Cannot write /proc/.*: "):
        host.write_many({"/proc/file": b""})
    (tmp_path / "file").touch()
    with pytest.raises(FileMissing, match="Not a directory"):
        host.list(str(tmp_path / "file"))


def test_a_full_disk_is_said_with_its_cure() -> None:
    # A disk that is really full takes another user's rights to make.
    with (
        pytest.raises(HostError, match=r"Cannot write /x: No space left.*Free some space"),
        named_errors("write", "/x"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_command_reads_all_or_has_not_begun_when_we_are_killed(tmp_path: Path) -> None:
    """More than the buffer of a pipe holds: `sbatch` would submit as much of it as had come."""
    slow = 'touch "$0/waits"; until test -e "$0/go"; do sleep 0.05; done; cat >"$0/read"'
    run = (
        "import sys\n"
        "from fractal_jupyter.hosts.local import LocalHost\n"
        f"LocalHost().run(['sh', '-c', {slow!r}, sys.argv[1]], stdin=bytes(1_000_000))\n"
    )
    with subprocess.Popen([sys.executable, "-c", run, str(tmp_path)]) as process:
        wait_until((tmp_path / "waits").exists)
        process.kill()
    (tmp_path / "go").touch()
    read = tmp_path / "read"
    wait_until(lambda: read.exists() and read.stat().st_size == 1_000_000)
