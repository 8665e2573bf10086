from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter.hosts.ssh import SSHHost
from tests.sshd import Sshd, why_no_sshd

from .contract import CommandContract, HostContract, Subject, program

WHY_NOT = why_no_sshd()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=f"SSH: {WHY_NOT}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def shared(server: Sshd) -> Iterator[SSHHost]:
    host = SSHHost(server.alias, config_files=[server.config])
    yield host
    host.close()


class TestSSHHost(HostContract, CommandContract):
    @pytest.fixture
    def subject(self, shared: SSHHost, tmp_path: Path) -> Subject:
        folder = tmp_path / "host"
        folder.mkdir()
        return Subject(
            host=shared,
            folder=str(folder),
            command=lambda name, *args: program(name, *args, python=sys.executable),
            place=lambda path, content: Path(path).write_bytes(content),
            content=lambda path: Path(path).read_bytes(),
        )
