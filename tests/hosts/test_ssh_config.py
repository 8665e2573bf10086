from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fractal_jupyter.errors import HostError
from fractal_jupyter.hosts.ssh_config import configured, parse_hop

USER = getpass.getuser()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir(mode=0o700)
    return tmp_path


# One file with all that people write; what it means is compared with what ssh itself says.
TEXT = """
# comment
Include ~/nowhere/*
Include extra.d/*.conf "more here/one.conf"

Host plain
  HostName plain.example.org
  User=alice
  Port = 2222
  IdentityFile ~/.ssh/%r-%h
  IdentityFile "~/.ssh/with space"

Host *.cluster !login.cluster
  User cluster-user
  ProxyJump bob@gate.example.org:2200,second

Host login.cluster
  HostName %h.example.org

Host node?
  ProxyCommand ssh -W %h:%p gate # not a comment
  ConnectTimeout 7
  ServerAliveInterval 33

Match originalhost matched host matched.example.org
  User never

Host matched
  HostName matched.example.org

Match host matched.example.org
  User by-hostname

Match originalhost by-exec exec "test %n = by-exec"
  Port 1234

Match originalhost by-exec exec "false"
  User never

Match !originalhost by-exec exec "test %n = other"
  Port 4321

Match user special
  Port 777

Match originalhost finally final
  Port 999

Host *
  User everybody
  Port 2022
  IdentityFile ~/.ssh/id_all
"""

EXTRA = """
User first-of-all-nobody-knows
"""

INNER = """
Host included
  HostName inner.example.org
  Include nested.conf
Host nested
  User must-not-count
"""


def write_all(home: Path) -> Path:
    folder = home / ".ssh"
    (folder / "config").write_text(TEXT)
    (folder / "extra.d").mkdir()
    (folder / "extra.d" / "a.conf").write_text(INNER)
    (folder / "nested.conf").write_text("Port 5555\nHost included\n  User nested-user\n")
    (folder / "more here").mkdir()
    (folder / "more here" / "one.conf").write_text("Host one\n  HostName one.example.org\n")
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder / "config"


HOSTS = [
    *("plain", "a.cluster", "login.cluster", "node1", "node12", "matched", "by-exec", "other"),
    *("finally", "included", "nested", "one", "unknown.example.org"),
]


@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh itself, to compare with, is missing")
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("user", [None, "special"])
def test_means_what_ssh_means(home: Path, host: str, user: str | None) -> None:
    config = write_all(home)
    argv = ["ssh", "-G", "-F", str(config), *(["-l", user] if user else []), host]
    # ssh takes relative includes from the real home of the user, so they are made absolute
    for path in (config, config.parent / "extra.d" / "a.conf"):
        text = path.read_text()
        for name in ("extra.d/", "nested.conf"):
            text = text.replace(f"Include {name}", f"Include {config.parent}/{name}")
        path.write_text(text.replace('"more here', f'"{config.parent}/more here'))
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    expected: dict[str, list[str]] = {}
    for line in said.splitlines():
        key, _, value = line.partition(" ")
        expected.setdefault(key, []).append(value)
    found = configured(host, user=user, files=[config])
    assert found.hostname == expected["hostname"][0]
    assert found.user == expected["user"][0]
    assert str(found.port) == expected["port"][0]
    assert ",".join(found.jumps) == expected.get("proxyjump", [""])[0]
    assert (found.proxy_command or "") == (expected.get("proxycommand", [""])[0]).replace(
        "%h", found.hostname
    ).replace("%p", str(found.port))
    assert [Path(each).name for each in found.identity_files] == [
        Path(each.replace("%r", found.user).replace("%h", found.hostname)).name
        for each in expected["identityfile"]
    ]


def test_without_files_the_name_is_the_host(home: Path) -> None:
    found = configured("host.example.org", files=[home / "none"])
    assert (found.hostname, found.port, found.user) == ("host.example.org", 22, USER)
    assert found.known_as == "host.example.org"
    assert found.known_hosts[0] == str(home / ".ssh" / "known_hosts")
    assert (found.jumps, found.proxy_command, found.identity_files) == ((), None, ())


def test_what_is_given_wins(home: Path) -> None:
    config = write_all(home)
    found = configured("plain", user="me", port=1, files=[config])
    assert (found.user, found.port, found.known_as) == ("me", 1, "[plain.example.org]:1")


def test_the_files_of_the_user_and_of_the_system_are_the_usual_ones(home: Path) -> None:
    write_all(home)
    assert configured("plain").hostname == "plain.example.org"
    assert configured("one").hostname == "one.example.org"
    assert configured("included").user == "nested-user"


def test_variables_and_agents(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", "/keys")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    config = home / "config"
    config.write_text(
        "Host a\n IdentityFile ${KEYS}/%u\n IdentityAgent ~/agent.sock\nHost b\n"
        " IdentityAgent none\nHost c\n IdentityAgent SSH_AUTH_SOCK\n"
    )
    a, b, c = (configured(name, files=[config]) for name in "abc")
    assert a.identity_files == (f"/keys/{USER}",)
    assert [each.identity_agent for each in (a, b, c)] == [f"{home}/agent.sock", None, "/agent"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("Host a\n!!!\n", "Line 2"), ("Match host\n", "Line 1"), ("Include self\n", "16 deep")],
)
def test_what_makes_no_sense_is_said(home: Path, text: str, wrong: str) -> None:
    config = home / "self"
    config.write_text(text)
    with pytest.raises(HostError, match=wrong):
        configured("a", files=[config])


def test_an_unreadable_file_says_nothing(home: Path) -> None:
    assert configured("a", files=[home]).hostname == "a"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("gate", ("gate", None, None)),
        ("me@gate:22", ("gate", "me", 22)),
        ("ssh://me@gate:2200/", ("gate", "me", 2200)),
        ("[::1]:22", ("::1", None, 22)),
        ("::1", ("::1", None, None)),
        ("me@corp@gate", ("gate", "me@corp", None)),
    ],
)
def test_hops(written: str, expected: tuple[str, str | None, int | None]) -> None:
    assert parse_hop(written) == expected


def test_nothing_is_read_from_the_environment_but_what_is_written(home: Path) -> None:
    config = home / "config"
    config.write_text("Host a\n IdentityFile /keys/$HOME\n")
    assert configured("a", files=[config]).identity_files == ("/keys/$HOME",)
    assert os.environ["HOME"] == str(home)
