"""Kernels find their server, and its store."""

from __future__ import annotations

import json
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest
import websocket

from fractal_jupyter.client.jupyter import JupyterServer, find_server
from fractal_jupyter.errors import HostUnreachable
from tests.server.running import TOKEN, RunningServer, running_server
from tests.toy import toy_fractal

NAMED = {"FRACTAL_JUPYTER_SERVER": "https://gateway/me/", "FRACTAL_JUPYTER_SERVER_TOKEN": "t1"}
HUB = {
    "JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:4711/user/ada/",
    "JUPYTERHUB_API_TOKEN": "t2",
}


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of a kernel whose parent wrote where it listens."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "jpserver-17.json").write_text(
        json.dumps({"url": "http://localhost:8888/base/", "token": "t3", "pid": 17})
    )
    return {"JPY_PARENT_PID": "17"}


def test_the_order(parent: dict[str, str]) -> None:
    found = [
        find_server(variables)
        for variables in ({**NAMED, **HUB, **parent}, {**HUB, **parent}, parent, {})
    ]
    assert [None if server is None else (server.url, server._token) for server in found] == [
        ("https://gateway/me", "t1"),
        ("http://127.0.0.1:4711/user/ada", "t2"),
        ("http://localhost:8888/base", "t3"),
        None,
    ]


@pytest.mark.parametrize("variables", [NAMED, HUB])
def test_tokens_are_not_shown(variables: dict[str, str]) -> None:
    server = find_server(variables)
    assert server is not None
    assert server._token
    assert server._token not in repr(server)


@pytest.mark.parametrize("pid", ["", "18", "../17", "17\n"])
def test_what_is_no_parent(parent: dict[str, str], pid: str) -> None:
    assert find_server({"JPY_PARENT_PID": pid}) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"url": 3, "token": "t"}'])
def test_a_file_that_is_not_whole(parent: dict[str, str], content: str, tmp_path: Path) -> None:
    (tmp_path / "jpserver-17.json").write_text(content)
    assert find_server(parent) is None


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://there", "localhost:8888"])
def test_only_the_web(url: str) -> None:
    assert find_server({"FRACTAL_JUPYTER_SERVER": url, "JUPYTERHUB_SERVICE_URL": url}) is None


def test_a_server_that_is_gone() -> None:
    with pytest.raises(HostUnreachable, match="still running"):
        JupyterServer("http://127.0.0.1:9", "a test").about()


@pytest.mark.slow
def test_a_kernel_uses_the_store_of_its_server(tmp_path: Path) -> None:
    with (
        toy_fractal(tmp_path) as fractal,
        running_server(tmp_path / "server", fractal) as server,
    ):
        store, url, answer = in_kernel(
            server,
            "from fractal_jupyter import Fractal\n"
            "fractal = Fractal()\n"
            "[fractal.url, fractal.server.url, fractal.server.about()]",
        )
        assert store == fractal.url
        assert url == server.url
        assert answer["store"] == str(fractal._store.database.path)
        assert answer["user"]
        with pytest.raises(HostUnreachable, match="another token"):
            JupyterServer(server.url, "a test", "wrong").about()


def in_kernel(server: RunningServer, code: str) -> Any:
    """The value of the last line of `code`, run in a new kernel of the server."""
    request = urllib.request.Request(
        f"{server.url}/api/kernels",
        method="POST",
        data=b"{}",
        headers={"Authorization": f"token {TOKEN}"},
    )
    with urllib.request.urlopen(request) as response:
        kernel = json.load(response)["id"]
    channels = server.url.replace("http://", "ws://") + f"/api/kernels/{kernel}/channels"
    connection = websocket.create_connection(f"{channels}?token={TOKEN}", timeout=60)
    try:
        return _execute(connection, code)
    finally:
        connection.close()


def _execute(connection: websocket.WebSocket, code: str) -> Any:
    message = uuid.uuid4().hex
    *lines, last = code.splitlines()
    code = "\n".join(["import json", *lines, f"print(json.dumps({last}))"])
    header = {
        "msg_id": message,
        "msg_type": "execute_request",
        "username": "",
        "session": message,
        "version": "5.3",
        "date": "",
    }
    connection.send(
        json.dumps(
            {
                "channel": "shell",
                "header": header,
                "parent_header": {},
                "metadata": {},
                "content": {"code": code, "silent": False},
            }
        )
    )
    printed = ""
    while True:
        answer = json.loads(connection.recv())
        if answer["parent_header"].get("msg_id") != message:
            continue
        if answer["msg_type"] == "stream":
            printed += answer["content"]["text"]
        elif answer["msg_type"] == "error":
            raise AssertionError("\n".join(answer["content"]["traceback"]))
        elif answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
            return json.loads(printed)
