from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fractal_jupyter.runner import wake
from fractal_jupyter.runner.agent import VARIABLE, adopt_agent, agent_message
from fractal_jupyter.runner.launch import _ring


@pytest.fixture
def there(tmp_path: Path) -> Iterator[str]:
    """A socket that somebody listens to."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "there"))
        listening.listen()
        yield str(tmp_path / "there")


def told(path: str) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, path)
        message = agent_message()
    assert message is not None
    return message


@pytest.mark.parametrize("ours", [None, "/nowhere/agent"])
def test_an_agent_that_is_gone_is_replaced_by_one_that_is_there(
    ours: str | None, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, ours or "")
    if ours is None:
        monkeypatch.delenv(VARIABLE)
    assert not adopt_agent([wake.JOBS, told("/nowhere/other")])
    assert os.environ.get(VARIABLE) == ours
    assert adopt_agent([wake.JOBS, told("/nowhere/other"), told(there)])
    assert os.environ[VARIABLE] == there
    # It is the one that we have, now.
    assert not adopt_agent([told(there)])


def test_an_agent_that_answers_is_kept(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, there)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "other"))
        other.listen()
        assert not adopt_agent([told(str(tmp_path / "other"))])
    assert os.environ[VARIABLE] == there


def test_who_rings_says_where_its_agent_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(wake.Alarm()) as alarm:
        assert alarm.address is not None
        monkeypatch.delenv(VARIABLE, raising=False)
        assert _ring(alarm.address.encode())
        assert alarm.wait(5) == {wake.JOBS}
        monkeypatch.setenv(VARIABLE, "/ä/agent")
        assert _ring(alarm.address.encode())
        assert alarm.wait(5) == {wake.JOBS, told("/ä/agent")}
