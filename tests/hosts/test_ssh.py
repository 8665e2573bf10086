from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fractal_jupyter.errors import CommandTimeout, HostError, HostUnreachable
from fractal_jupyter.hosts import ssh_files
from fractal_jupyter.hosts.ssh import SSHHost, shared_host
from tests import users
from tests.slurm.fixtures import skip_for_machine, unless
from tests.sshd import Sshd, why_no_sshd
from tests.toy import wait_until

from .contract import CommandContract, HostContract, Subject, program

pytestmark = unless("SSH", why_no_sshd())


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server that stays as it is."""
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def host(common: Sshd) -> Iterator[SSHHost]:
    host = SSHHost(common.alias, config_files=[common.config])
    yield host
    host.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    """A server to be maltreated."""
    folder = tmp_path / "sshd"
    folder.mkdir()
    with Sshd(folder) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "host"
    folder.mkdir()
    return folder


def of(server: Sshd) -> SSHHost:
    return SSHHost(server.alias, config_files=[server.config])


def subject_of(host: SSHHost, folder: Path) -> Subject:
    return Subject(
        host=host,
        folder=str(folder),
        command=lambda name, *args: program(name, *args, python=sys.executable),
        place=lambda path, content: Path(path).write_bytes(content),
        content=lambda path: Path(path).read_bytes(),
    )


class TestSSHHost(HostContract, CommandContract):
    @pytest.fixture
    def subject(self, host: SSHHost, folder: Path) -> Subject:
        return subject_of(host, folder)


# Commands


def test_the_environment_is_that_of_a_login_without_orders_to_slurm(
    tmp_path: Path, folder: Path
) -> None:
    there = {
        "SLURM_CONF": "/etc/slurm.conf",
        "SLURM_JOB_ID": "7",
        "SBATCH_ACCOUNT": "wrong",
        "SQUEUE_FORMAT": "%i",
        "SACCT_FORMAT": "x",
        "SCANCEL_USER": "x",
        "SITE": "a 'b'",
    }
    lines = " ".join(f'"{name}={value}"' for name, value in there.items())
    with Sshd(folder, options={"SetEnv": lines}) as server:
        found = of(server).run(["env"]).text.splitlines()
    kept = {line for line in found if line.partition("=")[0] in there}
    assert kept == {"SLURM_CONF=/etc/slurm.conf", "SITE=a 'b'"}
    assert any(line.startswith("PATH=") for line in found)


def test_names_of_builtins_are_programs(host: SSHHost) -> None:
    assert host.run(["echo", "-n", "x"]).stdout == b"x"
    assert host.run(["exit", "3"]).exit_code == 127
    assert host.run(["if"]).exit_code == 127
    assert host.run(["A=1"]).exit_code == 127


def test_a_signal_is_told_as_a_shell_does(host: SSHHost) -> None:
    assert host.run(["sh", "-c", "kill -9 $$"]).exit_code == 128 + 9


def test_an_environment_has_names_of_variables(host: SSHHost) -> None:
    with pytest.raises(ValueError, match="environment variable"):
        host.run(["env"], env={"A;id": "1"})


def test_output_that_looks_like_a_mark_is_output(host: SSHHost) -> None:
    text = "\n".join(f"{i:032x} 0" for i in range(100))
    result = host.run(["cat"], stdin=text.encode())
    assert result.text == text


FAMILY = 'sleep 300 & echo $! > "$0"; echo $$ >> "$0"; trap "" TERM; wait; sleep 300'


def test_a_time_limit_leaves_no_process_behind(common: Sshd, folder: Path) -> None:
    host = SSHHost(common.alias, config_files=[common.config], grace=0.3)
    note = folder / "pids"
    with pytest.raises(CommandTimeout, match=r"1\.5 seconds"):
        host.run(["sh", "-c", FAMILY, str(note)], timeout=1.5)
    pids = [int(line) for line in note.read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_an_interrupt_ends_the_command(host: SSHHost, folder: Path) -> None:
    note = folder / "pids"

    def interrupt() -> None:
        wait_until(lambda: note.exists() and note.read_text().count("\n") == 2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    # What other tests have imported may have taken the signal for itself.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    script = 'sleep 300 & echo $! > "$0"; echo $$ >> "$0"; wait'
    with pytest.raises(KeyboardInterrupt):
        host.run(["sh", "-c", script, str(note)])
    signal.signal(signal.SIGINT, before)
    interrupter.join()
    pids = [int(line) for line in note.read_text().split()]
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_processes_left_in_the_background_are_not_waited_for(host: SSHHost) -> None:
    result = host.run(["sh", "-c", "sleep 300 & echo $!"], timeout=60)
    assert result.seconds < 30
    os.kill(int(result.text), signal.SIGKILL)


# Whatever the login shell is

# Tests that run side by side must not change the shell of the same user.
SHELL_USER = f"fractal-shell{os.environ.get('PYTEST_XDIST_WORKER', '').removeprefix('gw')}"


@pytest.fixture
def login_shell(tmp_path: Path) -> Iterator[Callable[[str], Sshd]]:
    """Makes a server where the second user has a certain login shell."""
    if (reason := users.why_no_user()) is not None:
        skip_for_machine("a user with another login shell", reason)
    user = users.make_user(SHELL_USER)
    before = user.pw_shell
    outer = Path("/var/tmp") / f"fractal-shell-{os.getpid()}"
    outer.mkdir(mode=0o755)
    servers: list[Sshd] = []

    def make(shell: str) -> Sshd:
        subprocess.run(["usermod", "--shell", shell, SHELL_USER], check=True)
        servers.append(Sshd(outer, user=SHELL_USER))
        servers[-1].start()
        return servers[-1]

    try:
        yield make
    finally:
        for server in servers:
            server.stop()
        subprocess.run(["usermod", "--shell", before, SHELL_USER], check=True)
        shutil.rmtree(outer)


CHATTY = """#!/bin/sh
echo 'Welcome!'; echo 'Quota: 12 %' >&2
printf 'no newline'
[ "$1" = -c ] && sh -c "$2"
echo 'Good bye!'
"""


@pytest.mark.parametrize("shell", ["/bin/tcsh", "/bin/dash", "chatty"])
def test_any_login_shell_will_do(login_shell: Callable[[str], Sshd], shell: str) -> None:
    outer = Path(pwd.getpwnam(SHELL_USER).pw_dir)
    if shell == "chatty":
        path = outer / "chatty"
        path.write_text(CHATTY)
        path.chmod(0o755)
        shell = str(path)
    elif not Path(shell).exists():
        skip_for_machine("login shells", f"no {shell}")
    host = of(login_shell(shell))
    try:
        words = ["", "a b", "$(id)", "`id`", "'", '"', "\\", "line\nbreak", "!", "*", "ü"]
        result = host.run(["printf", "%s|", *words])
        assert (result.text, result.stderr) == ("|".join(words) + "|", b"")
        result = host.run(["sh", "-c", "cat; echo error >&2; exit 5"], stdin=b"in\0put")
        assert (result.exit_code, result.stdout, result.stderr) == (5, b"in\0put", b"error\n")
        home = outer / "odd 'name!"
        host.mkdir(str(home))
        host.write_many({str(home / "a\nb"): b"1"})
        assert host.read_many({str(home / "a\nb"): 0}) == {str(home / "a\nb"): b"1"}
        with pytest.raises(CommandTimeout):
            host.run(["sleep", "300"], timeout=1)
        host.remove(str(home))
    finally:
        host.close()


def test_a_banner_in_bashrc_does_no_harm(login_shell: Callable[[str], Sshd]) -> None:
    host = of(login_shell("/bin/bash"))
    home = Path(pwd.getpwnam(SHELL_USER).pw_dir)
    original = (home / ".bashrc").read_text() if (home / ".bashrc").exists() else None
    (home / ".bashrc").write_text("echo Hello; echo hello >&2\n")
    try:
        result = host.run(["echo", "you"])
        assert (result.stdout, result.stderr) == (b"you\n", b"")
    finally:
        host.close()
        (home / ".bashrc").unlink()
        if original is not None:
            (home / ".bashrc").write_text(original)


def test_a_user_who_may_not_run_commands(login_shell: Callable[[str], Sshd]) -> None:
    host = of(login_shell("/usr/sbin/nologin"))
    with pytest.raises(HostError, match=r"did not run.*not available"):
        host.run(["true"])
    host.close()


# Files


def test_writes_many_small_files_at_once(host: SSHHost, folder: Path) -> None:
    for i in range(4):
        (folder / f"{i}").mkdir()
    files = {str(folder / f"{i % 4}" / f"file {i}.json"): b"%d" % i * 50 for i in range(2000)}
    begun = time.monotonic()
    host.write_many(files)
    assert time.monotonic() - begun < 30
    assert {path: Path(path).read_bytes() for path in files} == files
    assert sum(len(list(each.iterdir())) for each in folder.iterdir()) == 2000
    assert host.read_many(dict.fromkeys(files, 1)) == {
        path: content[1:] for path, content in files.items()
    }


def test_divides_what_is_too_much_for_one_stream(
    host: SSHHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_files, "_FILES", 3)
    files = {str(folder / f"{i}"): b"%d" % i for i in range(10)}
    host.write_many(files)
    assert host.read_many(dict.fromkeys([*files, str(folder / "none")], 0)) == files


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o400])
def test_modes_are_exact(host: SSHHost, folder: Path, mode: int) -> None:
    host.write_many({str(folder / "file"): b"x"}, mode=mode)
    (folder / "local").write_bytes(b"y")
    host.put(str(folder / "local"), str(folder / "other"), mode=mode)
    host.mkdir(str(folder / "folder"), mode=mode | 0o2000)
    modes = [stat.S_IMODE((folder / name).stat().st_mode) for name in ("file", "other", "folder")]
    assert modes == [mode, mode, mode | 0o2000]
    assert (folder / "file").stat().st_mtime > time.time() - 3600


def test_a_folder_is_not_replaced_by_a_file(host: SSHHost, folder: Path) -> None:
    (folder / "taken").mkdir()
    with pytest.raises(HostError, match=r"(?s)Cannot write.*taken"):
        host.write_many({str(folder / "taken"): b"x"})
    assert [path.name for path in folder.iterdir()] == ["taken"]


def test_links_that_lead_nowhere(host: SSHHost, folder: Path) -> None:
    (folder / "dangling").symlink_to("nothing")
    assert [(entry.name, entry.is_dir) for entry in host.list(str(folder))] == [("dangling", False)]
    assert host.read_many({str(folder / "dangling"): 0}) == {}
    host.remove(str(folder / "dangling"))
    assert list(folder.iterdir()) == []


def test_removes_a_tree_that_is_still_written_to(host: SSHHost, folder: Path) -> None:
    tree = folder / "tree"
    tree.mkdir()
    grow = 'i=0; while :; do i=$((i+1)); mkdir "$0/$i" 2>/dev/null || exit; done'
    with subprocess.Popen(["sh", "-c", grow, str(tree)]) as writer:
        wait_until(lambda: len(list(tree.iterdir())) > 100)
        host.remove(str(tree))
        writer.wait(20)
    assert not tree.exists()


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)


@pytest.mark.slow
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=NAMES, words=st.lists(WORDS, min_size=1, max_size=5), content=st.binary(max_size=300))
def test_names_and_words_are_data(
    host: SSHHost, folder: Path, name: str, words: list[str], content: bytes
) -> None:
    path = f"{folder}/{name}"
    host.write_many({path: content})
    assert host.read_many({path: 0}) == {path: content}
    assert [entry.name for entry in host.list(str(folder))] == [name]
    host.remove(path)
    assert host.mkdir(path, exist_ok=False)
    result = host.run(["printf", r"%s\0", *words], cwd=path, stdin=content, env={"A": words[0]})
    assert result.check().stdout == b"".join(word.encode() + b"\0" for word in words)
    assert host.run(["printenv", "A"], env={"A": words[0]}).stdout == f"{words[0]}\n".encode()
    host.remove(path)


# Connections


def test_one_connection_serves_all(server: Sshd) -> None:
    host = of(server)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: host.run(["echo", str(i)]).text, range(24)))
    assert results == [f"{i}\n" for i in range(24)]
    assert server.log().count("Accepted publickey") == 1
    host.close()


@pytest.mark.slow
@pytest.mark.parametrize("most", ["1", "2"])
def test_waits_for_its_turn_when_sessions_are_few(tmp_path: Path, most: str) -> None:
    with Sshd(tmp_path, options={"MaxSessions": most}) as server:
        host = of(server)
        with ThreadPoolExecutor(8) as pool:
            commands = pool.map(lambda i: host.run(["sh", "-c", f"sleep 0.1; echo {i}"]), range(24))
            assert [result.text for result in commands] == [f"{i}\n" for i in range(24)]
        # the one that ends a command needs a session too
        with ThreadPoolExecutor(2) as pool:
            late = [pool.submit(host.run, ["sleep", "300"], timeout=1) for _ in range(2)]
            assert all(isinstance(each.exception(), CommandTimeout) for each in late)
        host.close()


def test_says_when_sessions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fractal_jupyter.hosts.ssh_connection._REFUSED", 0.5)
    with (
        Sshd(tmp_path, options={"MaxSessions": "0"}) as server,
        pytest.raises(HostUnreachable, match=r"refuses every session.*Nothing was run"),
    ):
        of(server).run(["true"])


def test_opens_the_connection_again(server: Sshd) -> None:
    host = of(server)
    assert host.run(["echo", "1"]).text == "1\n"
    assert server.cut()
    assert host.run(["echo", "2"]).text == "2\n"
    server.stop()
    with pytest.raises(HostUnreachable, match=r"does not answer: .*Nothing was run"):
        host.run(["echo", "3"])
    server.start()
    assert host.run(["echo", "4"]).text == "4\n"
    host.close()


def cut_when(server: Sshd, ready: Callable[[], bool]) -> threading.Thread:
    def cut() -> None:
        wait_until(ready)
        server.cut()

    thread = threading.Thread(target=cut)
    thread.start()
    return thread


def test_a_cut_while_a_command_runs_leaves_open_whether_it_ran(server: Sshd, folder: Path) -> None:
    host = of(server)
    pipe = folder / "pid"
    cutter = cut_when(server, lambda: pipe.exists() and pipe.read_text().endswith("\n"))
    with pytest.raises(HostUnreachable, match="is not known"):
        host.run(["sh", "-c", 'echo $$ > "$0"; exec sleep 300', str(pipe)])
    cutter.join()
    os.kill(int(pipe.read_text()), signal.SIGKILL)
    assert host.run(["true"]).exit_code == 0
    host.close()


def test_a_cut_in_the_middle_of_a_transfer_leaves_nothing(server: Sshd, folder: Path) -> None:
    host = of(server)
    files = {str(folder / name): os.urandom(60_000_000) for name in ("one", "two")}
    cutter = cut_when(server, lambda: any(_size(path) for path in folder.rglob("archive")))
    with pytest.raises(HostUnreachable, match="was cut"):
        host.write_many(files)
    cutter.join()
    wait_until(lambda: not list(folder.iterdir()))
    small = {path: content[:1000] for path, content in files.items()}
    host.write_many(small)
    assert host.read_many(dict.fromkeys(small, 0)) == small
    host.close()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_a_host_that_falls_silent_is_given_up(server: Sshd) -> None:
    server.write_config("  ServerAliveInterval 1\n  ConnectTimeout 3\n")
    host = of(server)
    host.run(["true"])
    pids = server.connections()

    def freeze(_: bytes) -> None:
        server.freeze()

    begun = time.monotonic()
    try:
        with pytest.raises(HostUnreachable, match="is not known"):
            host.run(["sh", "-c", "echo begun; sleep 20"], on_output=freeze)
        assert time.monotonic() - begun < 18
        # and the next one gets a connection that works
        assert host.run(["echo", "again"]).text == "again\n"
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        host.close()


def test_one_host_is_shared_by_who_asks_for_the_same() -> None:
    assert shared_host("a", "b", "c") is shared_host("a", "b", "c")
    assert shared_host("a", "b", "c") is not shared_host("a", "b", "d")


def test_what_has_not_run_when_the_connection_is_cut_is_run_on_a_new_one(
    server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = 1
    ask = paramiko.Channel.exec_command

    def cut_first(channel: paramiko.Channel, command: str) -> None:
        nonlocal cuts
        cuts -= 1
        if cuts >= 0:
            channel.get_transport().close()
            raise EOFError
        ask(channel, command)

    monkeypatch.setattr(paramiko.Channel, "exec_command", cut_first)
    host = SSHHost(server.alias, config_files=[server.config])
    try:
        assert host.run(["echo", "it works"]).text == "it works\n"
        cuts = 2
        with pytest.raises(HostUnreachable, match=r"was cut\. Nothing was run\."):
            host.run(["true"])
    finally:
        host.close()
