"""Builds one environment in one folder, all or nothing; see `main`.

The folder in the end:

    environment.json     what it is, and that it is complete; written last
    requirements.txt     every distribution with its exact version and hashes
    venv/                the environment
    <name>.whl           the wheel, if the package came as one
    bytecode             appears when everything has been compiled, a little later perhaps
"""

from __future__ import annotations

import base64
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from . import bytecode, exact
from .claim import (
    HEARTBEAT_SECONDS,
    METADATA,
    Claim,
    is_complete,
    is_vacant,
    owner_of,
    take,
    take_over,
)
from .installing import make_installer
from .messages import Failure, log, report, send
from .tools import choose_uv, platform_name
from .usage import wait_for_sweep

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PATIENCE = 3.0


class _Stopped(BaseException):
    """Somebody wants us to stop."""


def main(document: Mapping[str, Any]) -> int:
    """Build the environment that the request describes, or find it built already.

    The request: `python_version`; `folder`; `package` (a name); `requirements` (what to install);
    `pins_after` (what to install then, whatever it breaks); `lock` (null, or what to install
    instead, exactly); `wheel` (null, or a file name and its content in base64); `source` (null, or
    the folder, with extras, of a package to install in editable mode); `uv` (see `choose_uv`);
    `cache` (null, or the folder of what environments share, `uv` and `bytecode` in it);
    `pip_cache_dir` (null: where the tool has it);
    `share` (let everybody read the environment); `identity` (the same for what is the same
    environment); `wait` (for another process that builds it).

    What happens is told by messages; see there.
    """
    return perform(document, Build)


def perform(document: Mapping[str, Any], kind: type[Build]) -> int:
    """Build an environment in a way of its own, or find it built already; see `main`."""
    # What children or the interpreter write to standard error belongs into the log as well.
    os.dup2(1, 2)
    for number in _SIGNALS:
        signal.signal(number, _stop)
    request = document["request"]
    if request["share"]:
        os.umask(0o022)
    try:
        kind.check(request)
        built, sources = _find_or_build(document, Path(request["folder"]), kind)
        send("built", built)
    except Failure as failure:
        report(failure)
        return 1
    except OSError as error:
        report(_of_system_error(error))
        return 1
    except _Stopped:
        return 128 + signal.SIGTERM
    if sources:
        _compile_in_background(sources, request)
    return 0


def _find_or_build(
    document: Mapping[str, Any], folder: Path, kind: type[Build]
) -> tuple[dict[str, Any], list[bytecode.Source]]:
    request = document["request"]
    if is_complete(folder):
        return _existing(document, folder, kind), []
    request = {**request, "uv": choose_uv(request["uv"])}
    while True:
        claim = take(folder)
        if claim is None and is_complete(folder):
            return _existing(document, folder, kind), []
        if claim is None:
            claim = _after_the_owner(folder, wait=request["wait"])
        if claim is not None:
            return _build({**document, "request": request}, claim, kind)


def _existing(document: Mapping[str, Any], folder: Path, kind: type[Build]) -> dict[str, Any]:
    request = document["request"]
    found: dict[str, Any] = json.loads((folder / METADATA).read_text())
    if found["identity"] != request["identity"]:
        raise Failure("other-environment", ", ".join(found["requirements"]))
    if request["lock"] and exact.differences(request["lock"], found["lock"]):
        raise Failure("other-environment", "of other versions than those recorded")
    log("This environment is there already.")
    if request["share"] and not found.get("shared"):
        kind(document, folder).share()
        found["shared"] = True
        _describe(folder, found)
    return found


def _after_the_owner(folder: Path, *, wait: bool) -> Claim | None:
    """Wait until the owner of a folder is done; claim the folder if the owner is dead."""
    owner = owner_of(folder)
    if owner is None:
        if not is_vacant(folder) and not is_complete(folder) and owner_of(folder) is None:
            raise Failure("foreign-folder", str(folder))
        return None
    told = False
    while owner.is_alive():
        if not wait:
            raise Failure("in-progress", str(owner))
        if not told:
            log(f"Waiting for {owner}, which is building the same environment.")
            told = True
        if is_complete(folder) or owner_of(folder) is None:
            return None
        send("beat", 0)
        time.sleep(0.2)
    if is_complete(folder):
        return None
    claim = take_over(owner)
    if claim is not None:
        log(f"An earlier build by {owner} did not get to its end; starting anew.")
        claim.clear()
    return claim


def _build(
    document: Mapping[str, Any], claim: Claim, kind: type[Build]
) -> tuple[dict[str, Any], list[bytecode.Source]]:
    watch = _Watch(claim)
    try:
        watch.start()
        wait_for_sweep(document["request"]["cache"])
        built = kind(document, claim.folder).run()
        watch.stop()
    except BaseException:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        watch.stop()
        _end_children()
        claim.abandon()
        raise
    claim.finish()
    return built


class Build:
    """The steps of one build."""

    def __init__(self, document: Mapping[str, Any], folder: Path) -> None:
        """Prepare for them; see `main` for the request in the document."""
        self._document = document
        self._request: Mapping[str, Any] = document["request"]
        self._folder = folder
        self._venv = folder / "venv"
        self._installer = self._make_installer()
        self._environ = _environ()

    @staticmethod
    def check(request: Mapping[str, Any]) -> None:
        """Raise Failure when the interpreter that runs this is not the one that is asked for."""
        _check_version(request["python_version"])
        _check_lock(request)

    def _make_installer(self) -> Any:
        """Return what fills the environment; see `installing`."""
        return make_installer(self._request, self._folder, self._run)

    def run(self) -> tuple[dict[str, Any], list[bytecode.Source]]:
        """Build; return what `environment.json` says, and the files not compiled yet."""
        request = self._request
        self._unpack_wheel()
        log(f"Making an environment with {self._installer.what}")
        self._installer.make()
        lock = request["lock"]
        hashes = self._installer.rebuild(lock) if lock else self._installer.collect()
        # uv leaves a lock behind that everybody may write to.
        (self._venv / ".lock").unlink(missing_ok=True)
        log("Looking for the tasks")
        inspected = self._inspect()
        self._complete_lock(inspected["lock"], hashes)
        survey, sources = self._finish()
        return self._complete(inspected, survey), sources

    def _finish(self) -> tuple[bytecode.Survey, list[bytecode.Source]]:
        """Link or compile bytecode; return what there is, and what is not compiled yet."""
        survey = bytecode.survey(str(self._venv))
        if self._request["share"]:
            _share(self._folder, survey.sources, _bytecode_store(self._request))
            return survey, []
        sources = bytecode.link(survey.sources, _bytecode_store(self._request))
        if not sources:
            (self._folder / bytecode.MARKER).touch()
        return survey, sources

    def share(self) -> None:
        """Let everybody run an environment that is complete."""
        sources = bytecode.survey(str(self._venv)).sources
        _share(self._folder, sources, _bytecode_store(self._request))

    def _unpack_wheel(self) -> None:
        """Put the wheel into the folder, where it stays."""
        if self._request["wheel"] is not None:
            name, content = self._request["wheel"]
            (self._folder / name).write_bytes(base64.b64decode(content))

    def _complete_lock(self, lock: dict[str, Any], hashes: Mapping[str, list[str]]) -> None:
        """Add what the installer knows to what is installed; make sure that it is what it was."""
        wheel = self._request["wheel"]
        uri = wheel and (self._folder / wheel[0]).as_uri()
        for each in lock["distributions"]:
            each["hashes"] = sorted(hashes.get(exact.normal(each["name"])) or each["hashes"])
            if each["url"] == uri:
                each["url"] = wheel and wheel[0]
        recorded = self._request["lock"]
        if recorded is None:
            return
        if recorded["python"] != lock["python"]:
            # A machine that is looked after gets another patch version now and then.
            log(f"Python is {lock['python']} now, and was {recorded['python']}")
        if exact.differences({**recorded, "python": lock["python"]}, lock):
            raise Failure("not-as-recorded", json.dumps(lock))

    def _inspect(self) -> dict[str, Any]:
        # What was recorded once was good enough then.
        extras = [] if self._request["lock"] else self._request["extras"]
        request = {"package": self._request["package"], "extras": extras}
        document = {**self._document, "main": "inspection", "request": request}
        done = subprocess.run(
            [str(self._installer.python), "-I", "-c", self._document["bootstrap"]],
            input=json.dumps(document).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environ,
        )
        try:
            told = json.loads(done.stdout.splitlines()[-1])
            failed = told.get("failed")
            if failed is None:
                return dict(told["inspected"])
        except (ValueError, IndexError, KeyError, AttributeError):
            raise Failure("environment-broken", done.stdout.decode(errors="replace")) from None
        raise Failure(failed["reason"], failed["output"])

    def _complete(self, inspected: Mapping[str, Any], survey: bytecode.Survey) -> dict[str, Any]:
        """Write the files that say what this is."""
        (self._folder / "requirements.txt").write_text(_requirements(inspected["lock"]))
        facts = {
            **inspected,
            "python": str(self._installer.python),
            "python_version": sys.version.split()[0],
            "size": survey.size,
            "own": survey.own,
            "identity": self._request["identity"],
            "requirements": [*self._request["requirements"], *self._request["pins_after"]],
            "shared": self._request["share"],
            "built": time.time(),
        }
        _describe(self._folder, facts)
        return facts

    def _run(self, command: Sequence[str], step: str, *, stdout: bool = True) -> None:
        """Run a command, its output into the log; raise Failure when it fails.

        Args:
            command: program and arguments.
            step: the reason of the failure.
            stdout: whether standard output is worth reading; standard error always is.
        """
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if stdout else subprocess.DEVNULL,
                stderr=subprocess.STDOUT if stdout else subprocess.PIPE,
                env=self._environ,
                cwd=str(self._folder),
            )
        except OSError as error:
            raise Failure("no-tool", f"{command[0]}: {error.strerror}") from None
        _children.append(child)
        told = child.stdout or child.stderr
        assert told
        output = []
        for line in told:
            text = line.decode(errors="replace").rstrip()
            output.append(text)
            log(text)
        told.close()
        if child.wait():
            raise Failure(step, "\n".join(output))


def _bytecode_store(request: Mapping[str, Any]) -> str | None:
    return request["cache"] and f"{request['cache']}/bytecode"


def _describe(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write what an environment is, and that it is complete."""
    temporary = folder / f"{METADATA}.{os.getpid()}.part"
    temporary.write_text(json.dumps(facts, indent=1))
    temporary.rename(folder / METADATA)


def _requirements(lock: Mapping[str, Any]) -> str:
    """Return a lock as a requirements file for people; the wheel lies beside it."""
    copies = [each for each in lock["distributions"] if not each["editable"]]
    return "".join(exact.with_hashes(exact.requirement(each), each["hashes"]) for each in copies)


def _share(folder: Path, sources: list[bytecode.Source], store: str | None) -> None:
    """Let everybody run an environment: bytecode that is missing could not be written by others."""
    missing = bytecode.link(sources, store)
    if missing:
        log(f"Compiling {len(missing)} files: others cannot do that later")
        bytecode.compile_all(missing, store, alive=folder / "venv")
    (folder / bytecode.MARKER).touch()
    bytecode.open_folder(str(folder.parent))
    bytecode.let_all_read(str(folder))


class _Watch(threading.Thread):
    """Shows that we live, and stops us when nobody wants us any more.

    That is the case when our parent has died, nobody reads what we say, or another process has
    taken over because it believed us dead.
    """

    def __init__(self, claim: Claim) -> None:
        super().__init__(daemon=True)
        self._claim = claim
        self._parent = os.getppid()
        self._done = threading.Event()

    def run(self) -> None:
        due = 0.0
        while not self._done.wait(0.5):
            try:
                send("beat", 1)
                if time.monotonic() >= due:
                    self._claim.beat()
                    due = time.monotonic() + HEARTBEAT_SECONDS
                wanted = os.getppid() == self._parent and self._claim.is_mine()
            except OSError:
                wanted = False
            if not wanted:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def stop(self) -> None:
        self._done.set()
        if self.is_alive():
            self.join()


_children: list[subprocess.Popen[bytes]] = []


def _end_children() -> None:
    """End what we have started, and what that has started if we lead a process group."""
    running = [child for child in _children if child.poll() is None]
    if not running:
        return
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGTERM)
    for child in running:
        child.terminate()
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _compile_in_background(sources: list[bytecode.Source], request: Mapping[str, Any]) -> None:
    """Compile in a process of its own that outlives us and stands back behind all others."""
    if os.fork():
        return
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        os.nice(19)
        if sys.platform == "linux":
            # Who imports the first task now must not wait for what is compiled in advance.
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        folder = Path(request["folder"])
        bytecode.compile_all(sources, _bytecode_store(request), alive=folder / METADATA)
        if is_complete(folder):
            (folder / bytecode.MARKER).touch()
    finally:
        os._exit(0)


def _check_version(wanted: str) -> None:
    found = sys.version.split()[0]
    if found.split(".")[:2] != wanted.split(".")[:2]:
        raise Failure("other-version", found)


def _check_lock(request: Mapping[str, Any]) -> None:
    """Raise Failure where what was recorded cannot be had: before anything is fetched."""
    lock = request["lock"]
    if lock is None:
        return
    if lock["platform"] != platform_name():
        raise Failure("other-platform", platform_name())
    _check_version(lock["python"])


def _environ() -> dict[str, str]:
    """Return the environment of the tools: ours, and what makes them speak plainly."""
    plain = {
        "NO_COLOR": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    environ = {**os.environ, **plain}
    # Clones share their blocks as well, but nobody could tell.
    environ.setdefault("UV_LINK_MODE", "hardlink")
    # What the machine trusts counts, not uv's own list; versions of uv differ in the name.
    environ.setdefault("UV_SYSTEM_CERTS", "1")
    environ.setdefault("UV_NATIVE_TLS", environ["UV_SYSTEM_CERTS"])
    return environ


def _of_system_error(error: OSError) -> Failure:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Failure("install" if full else "system", str(error))


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped
