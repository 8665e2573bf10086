"""Who the host is, who we are, and the way there; with real servers."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter.errors import (
    AccessDenied,
    HostKeyChanged,
    HostKeyUnknown,
    HostUnreachable,
)
from fractal_jupyter.hosts.ssh import SSHHost, host_key, trust
from tests.slurm.fixtures import unless
from tests.sshd import Sshd, add_to_agent, fingerprint, make_key, ssh_agent, why_no_sshd

pytestmark = unless("SSH", why_no_sshd())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    folder = tmp_path / "sshd"
    folder.mkdir()
    with Sshd(folder) as server:
        yield server


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An SSH agent without keys."""
    with ssh_agent(tmp_path / "agent") as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield path


@pytest.fixture(autouse=True)
def _no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def of(server: Sshd, key: Path | None = None) -> SSHHost:
    return SSHHost(
        server.alias, None, None if key is None else str(key), config_files=[server.config]
    )


def works(host: SSHHost) -> bool:
    try:
        return host.run(["echo", "it works"]).text == "it works\n"
    finally:
        host.close()


# Who the host is


def test_an_unknown_key_is_refused_and_can_be_trusted(server: Sshd) -> None:
    server.known_hosts.unlink()
    with pytest.raises(HostKeyUnknown) as raised:
        of(server).run(["true"])
    said = str(raised.value)
    assert server.fingerprint in said
    # the command that it names is the one that helps
    command = next(line for line in said.splitlines() if line.strip().startswith("echo "))
    subprocess.run(["sh", "-c", command], check=True)
    assert works(of(server))


def test_trust_is_for_the_fingerprint_that_a_person_has_compared(server: Sshd) -> None:
    server.known_hosts.write_text("other ssh-ed25519 AAAA")
    files = [server.config]
    assert host_key(server.alias, config_files=files).fingerprint == server.fingerprint
    with pytest.raises(AccessDenied, match=re.escape(server.fingerprint)):
        trust(server.alias, "SHA256:something-else", config_files=files)
    with pytest.raises(HostKeyUnknown):
        of(server).run(["true"])
    path = trust(server.alias, server.fingerprint, config_files=files)
    assert path == str(server.known_hosts)
    assert server.known_hosts.read_text().splitlines()[0] == "other ssh-ed25519 AAAA"
    # twice is the same as once
    assert trust(server.alias, server.fingerprint, config_files=files) == path
    assert len(server.known_hosts.read_text().splitlines()) == 2
    assert works(of(server))


def test_a_changed_key_is_a_hard_stop(server: Sshd) -> None:
    before = server.fingerprint
    host = of(server)
    assert works(host)
    server.stop()
    server.new_host_key()
    server.start()
    with pytest.raises(HostKeyChanged) as raised:
        host.run(["true"])
    said = str(raised.value)
    assert before in said
    assert server.fingerprint in said
    # nor is it trusted beside the one that is known
    with pytest.raises(HostKeyChanged, match="shows another key than"):
        trust(server.alias, server.fingerprint, config_files=[server.config])
    assert len(server.known_hosts.read_text().splitlines()) == 1
    command = next(line for line in said.splitlines() if "ssh-keygen -R" in line)
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    with pytest.raises(HostKeyUnknown):
        host.run(["true"])


def test_a_key_of_another_type_than_the_known_one_is_a_changed_key(
    server: Sshd, tmp_path: Path
) -> None:
    make_key(tmp_path / "other", kind="ecdsa")
    public = (tmp_path / "other.pub").read_text().split()
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {public[0]} {public[1]}\n")
    with pytest.raises(HostKeyChanged, match=re.escape(fingerprint(tmp_path / "other"))):
        of(server).run(["true"])


def test_asks_for_the_key_that_is_known(tmp_path: Path) -> None:
    # the server has two; the known one is the one that would not be chosen
    make_key(tmp_path / "rsa", kind="rsa")
    with Sshd(tmp_path, options={"HostKey ": str(tmp_path / "rsa")}) as server:
        kind, key = (tmp_path / "rsa.pub").read_text().split()[:2]
        server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {kind} {key}\n")
        assert works(of(server))


def test_a_revoked_key_is_a_hard_stop(server: Sshd) -> None:
    server.known_hosts.write_text(
        f"@revoked * {server.public_host_key}\n[127.0.0.1]:{server.port} {server.public_host_key}\n"
    )
    with pytest.raises(HostKeyChanged, match="revoked"):
        of(server).run(["true"])


def test_known_hosts_in_every_form(server: Sshd) -> None:
    place, key = f"[127.0.0.1]:{server.port}", server.public_host_key
    for names in (f"elsewhere,{place}", "[127.0.0.*]:*", "127.0.0.1", "*,!other"):
        server.known_hosts.write_text(f"# comment\n\nbroken\n{names} {key} comment\n")
        assert works(of(server)), names
    server.write_known_hosts()
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(server.known_hosts)], check=True)
    assert place not in server.known_hosts.read_text()
    assert works(of(server))
    server.known_hosts.write_text(f"my-cluster {key}\n")
    with pytest.raises(HostKeyUnknown):
        of(server).run(["true"])
    server.write_config("  HostKeyAlias my-cluster\n")
    assert works(of(server))


def test_the_known_hosts_of_the_system_count_too(server: Sshd, tmp_path: Path) -> None:
    server.known_hosts.rename(tmp_path / "system")
    text = server.config.read_text().replace("GlobalKnownHostsFile none", "")
    server.config.write_text(text + f"  GlobalKnownHostsFile /nowhere {tmp_path / 'system'}\n")
    assert works(of(server))


# Who we are


def test_the_key_of_the_profile_is_used(server: Sshd, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    make_key(mine, kind="ecdsa")
    with pytest.raises(AccessDenied, match="authorized_keys"):
        of(server, mine).run(["true"])
    server.authorize((tmp_path / "mine.pub").read_text())
    assert works(of(server, mine))
    with pytest.raises(AccessDenied, match=re.escape(str(server.key))):
        of(server).run(["true"])


def test_a_key_that_others_may_read_is_refused(server: Sshd) -> None:
    server.key.chmod(0o644)
    with pytest.raises(AccessDenied, match=f"chmod 600 {server.key}"):
        of(server, server.key).run(["true"])


def test_a_missing_key_is_said(server: Sshd, tmp_path: Path) -> None:
    with pytest.raises(AccessDenied, match=f"no SSH key {tmp_path / 'none'}"):
        of(server, tmp_path / "none").run(["true"])


def test_a_public_key_is_said(server: Sshd) -> None:
    public = Path(f"{server.key}.pub")
    with pytest.raises(AccessDenied, match=r"no private SSH key, but a public one"):
        of(server, public).run(["true"])


def test_a_file_that_is_no_key_is_said(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "text").chmod(0o600)
    with pytest.raises(AccessDenied, match="no private SSH key"):
        of(server, tmp_path / "text").run(["true"])


def test_an_encrypted_key_without_an_agent_says_what_to_do(server: Sshd, tmp_path: Path) -> None:
    key = tmp_path / "encrypted"
    make_key(key, passphrase="secret words")
    with pytest.raises(AccessDenied, match=rf"encrypted.*no SSH agent.*ssh-add {key}"):
        of(server, key).run(["true"])


def test_an_encrypted_key_comes_from_the_agent(server: Sshd, tmp_path: Path, agent: Path) -> None:
    key = tmp_path / "encrypted"
    make_key(key, passphrase="secret")
    server.authorize((tmp_path / "encrypted.pub").read_text())
    words = rf"agent at {agent} does not have it.*: SSH_AUTH_SOCK={agent} ssh-add {key}"
    with pytest.raises(AccessDenied, match=words):
        of(server, key).run(["true"])
    add_to_agent(key, agent, "secret")
    assert works(of(server, key))
    # another agent may be the one to ask
    nobody = tmp_path / "nobody"
    os.environ["SSH_AUTH_SOCK"] = str(nobody)
    host = of(server, key)
    with pytest.raises(AccessDenied, match=f"no SSH agent answers at {nobody}"):
        host.run(["true"])
    # and what the configuration says now is what counts, for who waits for it, too
    server.write_config(f"  IdentityAgent {agent}\n")
    assert works(host)


def test_a_user_who_does_not_exist(server: Sshd) -> None:
    host = SSHHost(server.alias, "nobody-of-that-name", config_files=[server.config])
    with pytest.raises(AccessDenied, match="does not let nobody-of-that-name in"):
        host.run(["true"])


def test_a_host_that_takes_no_keys(tmp_path: Path) -> None:
    options = {"PubkeyAuthentication": "no", "PasswordAuthentication": "yes"}
    with (
        Sshd(tmp_path, options=options) as server,
        pytest.raises(AccessDenied, match=r"accepts no SSH keys.*password"),
    ):
        of(server).run(["true"])


def test_a_host_that_wants_more_than_a_key(tmp_path: Path) -> None:
    options = {"PasswordAuthentication": "yes", "AuthenticationMethods": "publickey,password"}
    with (
        Sshd(tmp_path, options=options) as server,
        pytest.raises(AccessDenied, match=r"wants more.*password"),
    ):
        of(server).run(["true"])


# The way there


def test_a_host_that_is_not_there(server: Sshd) -> None:
    server.stop()
    with pytest.raises(HostUnreachable, match=r"does not answer.*refused"):
        of(server).run(["true"])
    with pytest.raises(HostUnreachable, match="no-such-host"):
        SSHHost("no-such-host.invalid", config_files=[server.config]).run(["true"])


@pytest.fixture
def behind(server: Sshd, tmp_path: Path) -> Iterator[Sshd]:
    """A second server, whose configuration has both."""
    folder = tmp_path / "behind"
    folder.mkdir()
    with Sshd(folder, alias="inner") as inner:
        yield inner


@pytest.mark.parametrize("jumps", ["cluster", "cluster,cluster"])
def test_jumps_through_another_host(server: Sshd, behind: Sshd, jumps: str) -> None:
    behind.write_config(f"  ProxyJump {jumps}\n", before=server.config.read_text())
    behind.known_hosts.write_text(behind.known_hosts.read_text() + server.known_hosts.read_text())
    assert works(of(behind))
    assert "direct-tcpip" in server.log() or "Accepted" in server.log()
    assert server.log().count("Accepted publickey") == jumps.count("cluster")
    server.stop()
    with pytest.raises(HostUnreachable, match="does not answer"):
        of(behind).run(["true"])


def test_jumps_from_host_to_host(server: Sshd, behind: Sshd, tmp_path: Path) -> None:
    folder = tmp_path / "innermost"
    folder.mkdir()
    with Sshd(folder, alias="innermost") as innermost:
        behind.write_config("  ProxyJump cluster\n", before=server.config.read_text())
        innermost.write_config("  ProxyJump inner\n", before=behind.config.read_text())
        host = of(innermost)
        assert works(host)
        assert [each.log().count("Accepted publickey") for each in (server, behind)] == [1, 1]
        # the key of each host on the way is checked
        server.known_hosts.write_text("")
        with pytest.raises(HostKeyUnknown):
            of(innermost).run(["true"])


def test_hosts_on_the_way_are_trusted_one_after_the_other(server: Sshd, behind: Sshd) -> None:
    """The key to log in with is only the profile's: the configuration has none."""
    key, public = behind.key, behind.key.with_suffix(".pub").read_text()
    server.authorize(public)
    behind.write_config("  ProxyJump cluster\n", before=server.config.read_text())
    lines = behind.config.read_text().splitlines()
    behind.config.write_text("\n".join(line for line in lines if "IdentityFile" not in line))
    host = of(behind, key)

    def vouch(fingerprint: str) -> str:
        files = [behind.config]
        return trust(behind.alias, fingerprint, key_path=str(key), config_files=files)

    for each in (server, behind):
        each.known_hosts.write_text("")
    for each in (server, behind):
        with pytest.raises(HostKeyUnknown) as raised:
            host.run(["true"])
        assert raised.value.fingerprint == each.fingerprint
        with pytest.raises(AccessDenied, match=re.escape(each.fingerprint)):
            vouch("SHA256:something-else")
        assert each.known_hosts.read_text() == ""
        assert vouch(raised.value.fingerprint) == str(each.known_hosts)
    assert works(host)


def test_options_that_ssh_might_get_in_by_are_named(server: Sshd) -> None:
    server.authorize("")
    extra = "  CertificateFile ~/.ssh/cert\n  PKCS11Provider p.so\n  CanonicalizeHostname no\n"
    server.write_config(extra)
    told = "CertificateFile, PKCS11Provider of the SSH configuration does not count here"
    with pytest.raises(AccessDenied, match=told):
        of(server).run(["true"])


def test_a_way_in_a_circle_is_said(server: Sshd) -> None:
    server.write_config("  ProxyJump cluster\n")
    with pytest.raises(Exception, match="through itself"):
        of(server).run(["true"])


def test_a_host_on_the_way_that_does_not_reach_the_next(server: Sshd, behind: Sshd) -> None:
    behind.write_config("  ProxyJump cluster\n", before=server.config.read_text())
    behind.stop()
    with pytest.raises(HostUnreachable, match="does not answer through cluster"):
        of(behind).run(["true"])


def test_a_proxy_command_is_the_way(server: Sshd, behind: Sshd) -> None:
    command = f"ssh -F {server.config} -o BatchMode=yes -W %h:%p {server.alias}"
    behind.write_config(f"  ProxyCommand {command}\n")
    assert works(of(behind))
    assert server.log().count("Accepted publickey") == 1
    behind.write_config("  ProxyCommand /nowhere/program\n")
    with pytest.raises(HostUnreachable, match=r"the command said: .*/nowhere/program.*not found"):
        of(behind).run(["true"])
    behind.write_config("  ProxyCommand exit 1\n")
    with pytest.raises(HostUnreachable, match="ProxyCommand 'exit 1'"):
        of(behind).run(["true"])


def test_the_profile_wins_over_the_configuration(server: Sshd) -> None:
    user = server.user
    text = server.config.read_text().replace(f"User {user}", "User somebody-else")
    server.config.write_text(text.replace(f"IdentityFile {server.key}", "IdentityFile /nowhere"))
    assert works(SSHHost(server.alias, user, str(server.key), config_files=[server.config]))


def test_included_files_count(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    server.config.rename(tmp_path / "conf.d" / "cluster.conf")
    outer = tmp_path / "config"
    outer.write_text("Include conf.d/*.conf\n")
    assert works(SSHHost(server.alias, config_files=[outer]))
