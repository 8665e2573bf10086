"""Task packages that the tests make themselves, and an index to install them from."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import zipfile
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MANIFEST = "__FRACTAL_MANIFEST__.json"


def task(name: str = "Do it", executable: str = "do_it.py") -> dict[str, Any]:
    """Return the smallest valid entry of a manifest."""
    return {"name": name, "executable_parallel": executable, "meta_parallel": {}}


def manifest(*tasks: Mapping[str, Any]) -> dict[str, Any]:
    """Return the smallest valid manifest with these tasks, or with one."""
    return {
        "manifest_version": "2",
        "task_list": list(tasks or [task()]),
        "has_args_schemas": False,
    }


def make_wheel(
    folder: Path,
    name: str = "my-tasks",
    version: str = "1.0",
    *,
    root: str | None = None,
    manifest_text: str | bytes | None = None,
    files: Mapping[str, str] | None = None,
    metadata: Sequence[str] = (),
) -> Path:
    """Write the wheel of a package.

    Args:
        folder: where to write it.
        name: the name of the distribution.
        version: its version.
        root: the folder that its files are in; by default the name of the distribution.
        manifest_text: the content of its manifest; None: there is none.
        files: further files, below the root; by default one script.
        metadata: further lines of its metadata, "Requires-Dist: …" for instance.

    Returns:
        The path of the wheel.
    """
    stem = f"{name.replace('-', '_')}-{version}"
    root = root or name.replace("-", "_")
    contents: dict[str, bytes] = {f"{root}/__init__.py": b""}
    for path, text in ({"do_it.py": "print('done')\n"} if files is None else files).items():
        contents[f"{root}/{path}"] = text.encode()
    if manifest_text is not None:
        raw = manifest_text if isinstance(manifest_text, bytes) else manifest_text.encode()
        contents[f"{root}/{MANIFEST}"] = raw
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata]
    contents[f"{stem}.dist-info/METADATA"] = "\n".join([*head, ""]).encode()
    tags = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    contents[f"{stem}.dist-info/WHEEL"] = tags.encode()
    record = [_record_line(path, content) for path, content in contents.items()]
    contents[f"{stem}.dist-info/RECORD"] = "\n".join(
        [*record, f"{stem}.dist-info/RECORD,,", ""]
    ).encode()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in contents.items():
            archive.writestr(path, content)
    return wheel


def make_task_wheel(folder: Path, name: str = "my-tasks", version: str = "1.0") -> Path:
    """Write the wheel of a task package with nothing wrong with it."""
    return make_wheel(folder, name, version, manifest_text=json.dumps(manifest()))


def _record_line(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}"


class PackageIndex:
    """An index (PEP 503) over the wheels of a folder, which may be kept from answering.

    Attributes:
        folder: the wheels.
        tells_hashes: whether its pages have the hashes of the wheels.
        gate: while it is not set, requests wait.
        asked: set as soon as there has been a request.
        fetched: the names of the wheels that were fetched, one for each time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tells_hashes = True
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()
        self.fetched: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> PackageIndex:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, credentials: str = "") -> str:
        """Return its URL, perhaps with "user:password@"."""
        return f"http://{credentials}127.0.0.1:{self._server.server_port}/simple"

    def environ(self, credentials: str = "") -> dict[str, str]:
        """Return the variables that make uv and pip use this index and no other."""
        return {
            "UV_INDEX_URL": self.url(credentials),
            "UV_NO_CONFIG": "1",
            "PIP_INDEX_URL": self.url(credentials),
            "PIP_CONFIG_FILE": "/dev/null",
        }

    def _answer(self, path: str) -> bytes | None:
        """Return the page or file at a path."""
        parts = path.strip("/").split("/")
        if parts[0] == "files":
            return (self.folder / parts[1]).read_bytes()
        wanted = parts[-1].replace("-", "_")
        wheels = sorted(self.folder.glob(f"{wanted}-*.whl"))
        links = [
            f'<a href="/files/{wheel.name}{self._fragment(wheel)}">{wheel.name}</a>'
            for wheel in wheels
        ]
        return "".join(["<!DOCTYPE html><html><body>", *links]).encode() if links else None

    def _fragment(self, wheel: Path) -> str:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        return f"#sha256={digest}" if self.tells_hashes else ""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.set()
                index.gate.wait()
                if self.command == "GET" and self.path.endswith(".whl"):
                    index.fetched.append(self.path.rpartition("/")[2])
                body = index._answer(self.path)
                try:
                    self.send_response(404 if body is None else 200)
                    self.send_header("Content-Type", "text/html")
                    self.send_header("Content-Length", str(len(body or b"")))
                    self.end_headers()
                    if self.command == "GET":
                        self.wfile.write(body or b"")
                except (BrokenPipeError, ConnectionResetError):
                    return

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                return

        return Handler
