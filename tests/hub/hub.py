"""A real JupyterHub with real users, and the single-user servers that it starts."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import websocket
from uv import find_uv_bin

from fractal_jupyter.server.route import BASE_PATH
from tests import users
from tests.toy import wait_until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON = Path("/usr/bin/python3.11")
PROXY = HERE / "node_modules" / ".bin" / "configurable-http-proxy"
NAMES = ("fractal-hub-ann", "fractal-hub-bob")
# A server that a loaded machine starts.
SECONDS = 90.0


def why_not() -> str | None:
    """What keeps this machine from having a hub, in words; nothing if nothing does."""
    if not PYTHON.exists():
        return f"no {PYTHON}, which all users can run"
    if shutil.which("node") is None or not PROXY.exists():
        return "no configurable-http-proxy: `make hub-proxy` installs it with npm"
    return users.why_no_user()


def make_environment(folder: Path) -> Path:
    """Install this project and JupyterHub where all users reach them; the folder of programs."""
    uv = [find_uv_bin(), "--quiet", "--system-certs"]
    environment = folder / "environment"
    subprocess.run([*uv, "venv", f"--python={PYTHON}", str(environment)], check=True)
    same = [f"{name}=={version(name)}" for name in ("jupyterhub", "jupyterlab")]
    wanted = [*same, "ipykernel", f"{ROOT}[postgresql]"]
    install = [*uv, "pip", "install", f"--python={environment}/bin/python", *wanted]
    # Links into the cache of the user who runs the tests would lead others nowhere.
    subprocess.run([*install, "--link-mode=copy"], check=True)
    return environment / "bin"


@dataclass
class Hub:
    """A running hub.

    Attributes:
        folder: What it writes, and the folder of configuration of all users, `etc`.
        programs: Where `jupyterhub-singleuser` is.
    """

    folder: Path
    programs: Path
    port: int
    _token: str
    process: subprocess.Popen[bytes] | None = None
    users: dict[str, User] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def has_labextension(self) -> bool:
        """Whether what is installed has the panel: it is left out where it was not built."""
        return (self.programs.parent / "share/jupyter/labextensions/fractal-jupyter").is_dir()

    def write(self, path: str, document: Any) -> Path:
        """Write a file of the administrator."""
        file = self.folder / "etc" / "fractal" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(document))
        return file

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the hub's own API answers to its administrator."""
        return ask(method, f"{self.url}/hub/api/{path}", self._token, body)

    def answers(self) -> bool:
        try:
            return bool(self.ask("GET", "info"))
        except OSError:
            return False

    def log(self) -> str:
        """What the hub and the servers of all users have written."""
        return (self.folder / "hub.log").read_text()


@dataclass
class User:
    """A user of the hub, who is a user of this machine too."""

    hub: Hub
    name: str
    home: Path
    uid: int
    token: str

    @property
    def server(self) -> str:
        """The URL of the single-user server."""
        return f"{self.hub.url}/user/{self.name}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the extension of the user's server answers."""
        return ask(method, self.api(path), self.token, body)

    def ask_server(self, method: str, path: str, body: Any = None) -> Any:
        """What the user's server itself answers."""
        return ask(method, f"{self.server}/{path}", self.token, body)

    def api(self, path: str) -> str:
        """The URL of something that the extension of the user's server has."""
        return f"{self.server}{BASE_PATH}/{path}"

    def start(self) -> None:
        """Have the hub start the server."""
        self.hub.ask("POST", f"users/{self.name}/server")
        wait_until(self._is_ready, seconds=SECONDS)

    def stop(self) -> None:
        """Have the hub stop it, as its users and its culler do."""
        self.hub.ask("DELETE", f"users/{self.name}/server")
        wait_until(lambda: self._about()["server"] is None and not self._is_pending())

    def processes(self) -> list[psutil.Process]:
        """All processes of the user; not those that have ended, and that nobody has looked at."""
        return [
            process
            for process in psutil.process_iter(["uids", "status"])
            if process.info["uids"].real == self.uid
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def wait_until_gone(self) -> None:
        """Wait until nothing of the user runs: jobs are over, and so is the supervisor."""
        wait_until(lambda: self.processes() == [], seconds=SECONDS)

    def kill_everything(self) -> None:
        """Kill all processes of the user, as spawners do that end a cgroup or a container."""
        while processes := self.processes():
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=5)

    def run(self, code: str) -> str:
        """What a cell prints that runs in a kernel of the server."""
        kernel = ask("POST", f"{self.server}/api/kernels", self.token, {})["id"]
        url = f"{self.server}/api/kernels/{kernel}/channels".replace("http", "ws", 1)
        header = {"Authorization": f"token {self.token}"}
        connection = websocket.create_connection(url, timeout=SECONDS, header=header)
        try:
            return _printed(connection, code)
        finally:
            connection.close()
            ask("DELETE", f"{self.server}/api/kernels/{kernel}", self.token)

    def _about(self) -> Any:
        return self.hub.ask("GET", f"users/{self.name}")

    def _is_pending(self) -> bool:
        return self._about()["pending"] is not None

    def _is_ready(self) -> bool:
        servers = self._about()["servers"]
        return "" in servers and bool(servers[""]["ready"])


@contextmanager
def running_hub(folder: Path, programs: Path) -> Iterator[Hub]:
    """Start a hub with two users; end it with all that their servers have left."""
    port, hub_port, proxy_port = _free_ports(3)
    hub = Hub(folder, programs, port, secrets.token_hex(16))
    config = {
        "JupyterHub": {
            "bind_url": f"http://127.0.0.1:{port}",
            "hub_bind_url": f"http://127.0.0.1:{hub_port}",
            "authenticator_class": "dummy",
            "spawner_class": "jupyterhub.spawner.LocalProcessSpawner",
            "cookie_secret_file": str(folder / "cookie_secret"),
            "last_activity_interval": 1,
            "db_url": f"sqlite:///{folder}/hub.sqlite",
            "services": [{"name": "tests", "api_token": hub._token}],
            "load_roles": [
                {
                    "name": "tests",
                    "services": ["tests"],
                    "scopes": ["admin:users", "admin:servers", "tokens", "read:hub"],
                }
            ],
        },
        "Authenticator": {"allowed_users": list(NAMES)},
        "ConfigurableHTTPProxy": {
            "api_url": f"http://127.0.0.1:{proxy_port}",
            "command": [str(shutil.which("node")), str(PROXY)],
            "pid_file": str(folder / "proxy.pid"),
        },
        "Spawner": {
            "cmd": [str(programs / "jupyterhub-singleuser")],
            "environment": {
                "JUPYTER_CONFIG_PATH": str(folder / "etc"),
                "FRACTAL_JUPYTER_SUPERVISOR_IDLE_SECONDS": "2",
            },
        },
    }
    (folder / "jupyterhub_config.json").write_text(json.dumps(config))
    with ExitStack() as stack:
        for name in NAMES:
            user = _make_user(hub, name)
            stack.callback(_remove_files, user)
        _start(hub, stack)
        for name, user in hub.users.items():
            user.token = hub.ask("POST", f"users/{name}/tokens", {"note": "tests"})["token"]
        yield hub


def ask(method: str, url: str, token: str, body: Any = None) -> Any:
    """Send a request with a token; the JSON that is answered.

    Raises:
        urllib.error.HTTPError: With the `code` of a refusal.
    """
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"token {token}"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        text = response.read().decode()
    return json.loads(text) if text else None


def refused(method: str, url: str, token: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """Send a request that is refused; its status, and its JSON if it has one."""
    try:
        ask(method, url, token, body)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode()
        return error.code, json.loads(text) if text.startswith("{") else {}
    raise AssertionError("it was not refused")


def _start(hub: Hub, stack: ExitStack) -> None:
    log = stack.enter_context((hub.folder / "hub.log").open("wb"))
    hub.process = process = subprocess.Popen(
        [sys.executable, "-m", "jupyterhub", f"--config={hub.folder}/jupyterhub_config.json"],
        cwd=hub.folder,
        env=_environment(hub.folder),
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    stack.callback(_stop, process)
    wait_until(lambda: process.poll() is not None or hub.answers(), seconds=SECONDS)
    assert process.poll() is None, hub.log()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a hub, its proxy and its servers."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _environment(folder: Path) -> Mapping[str, str]:
    return {
        "HOME": str(folder),
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
    }


def _make_user(hub: Hub, name: str) -> User:
    """A user with an empty home."""
    record = users.make_user(name)
    shutil.rmtree(record.pw_dir)
    record = users.make_user(name)
    user = User(hub, name, Path(record.pw_dir), record.pw_uid, token="")
    user.kill_everything()
    hub.users[name] = user
    return user


def _remove_files(user: User) -> None:
    user.kill_everything()
    shutil.rmtree(user.home)


def _printed(connection: websocket.WebSocket, code: str) -> str:
    header = {"msg_id": secrets.token_hex(8), "msg_type": "execute_request", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    connection.send(json.dumps({**message, "channel": "shell"}))
    printed = ""
    while True:
        answer = json.loads(connection.recv())
        if answer["parent_header"].get("msg_id") != header["msg_id"]:
            continue
        kind, content = answer["header"]["msg_type"], answer["content"]
        if kind == "stream":
            printed += content["text"]
        elif kind == "error":
            raise AssertionError("\n".join(content["traceback"]))
        elif kind == "status" and content["execution_state"] == "idle":
            return printed


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
