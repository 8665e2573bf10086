"""Fixtures for tests on the real cluster; a plugin of pytest, so that any folder may use them.

A test that asks for `cluster` gets it healthy, empty, and with the options of its marker:

    @pytest.mark.cluster_options(accounting=True, settings={"MaxArraySize": 11})
    def test_something(cluster: Cluster) -> None: ...

There is one cluster on a machine. So all these tests run in one worker of pytest-xdist, and each
holds a lock, which keeps two sessions apart. They count as slow. Where the machine cannot have a
cluster, or lacks something else, tests skip by `skip_for_machine`, and the end of the session says
so.
"""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from fractal_jupyter.store.store import Store
from tests import toy, users
from tests.slurm import lock
from tests.slurm.machine import Cluster

LOCK = Path("/var/tmp/slurm-cluster.tests.lock")
# A test may set another.
TIMEOUT_SECONDS = lock.SECONDS + 300
# What other users and compute nodes can reach is made here: /tmp may be private to a service.
SHARED = Path("/var/tmp")

_MARK = "Not on this machine"


def skip_for_machine(what: str, why: str) -> NoReturn:
    """Skip a test because of the machine; the end of the session says so.

    Args:
        what: That is not tested, such as `SLURM`.
        why: What the machine lacks.
    """
    pytest.skip(_skipped(what, why))


def unless(what: str, why: str | None) -> pytest.MarkDecorator:
    """Skip whatever is marked with this where the machine lacks something (`why` is not None)."""
    return pytest.mark.skipif(why is not None, reason=_skipped(what, why or ""))


def _skipped(what: str, why: str) -> str:
    return f"{_MARK}: {what} ({why})"


@dataclass(frozen=True)
class ToyEnvironment:
    """The toy tasks where the second user and compute nodes find them.

    `python` is the system's, `package_root` a copy of the package.
    """

    python: str
    package_root: str

    def add(self, store: Store, resource: str | None = None) -> None:
        """Register the toy tasks with a resource, the first one if none is named."""
        toy.add_toy_tasks(
            store,
            resource=resource,
            folder=self.package_root,
            python=self.python,
            package_root=self.package_root,
        )


@pytest.fixture(scope="session")
def slurm_machine() -> Iterator[Cluster]:
    """What brings the cluster up; in the end it is up or down as it was in the beginning."""
    cluster = Cluster()
    if why := cluster.why_not():
        skip_for_machine("SLURM", why)
    was_up = cluster.is_up
    yield cluster
    with lock.held(LOCK):
        if was_up:
            cluster.up()
        else:
            cluster.down()


@pytest.fixture
def cluster(slurm_machine: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster, healthy and empty, with the options of the test's `cluster_options`."""
    # Before the cluster is there, so that no job writes any more when the folder is removed.
    if "shared_folder" in request.fixturenames:
        request.getfixturevalue("shared_folder")
    marker = request.node.get_closest_marker("cluster_options")
    options = marker.kwargs if marker else {}
    accounting = bool(options.get("accounting"))
    if accounting and (why := slurm_machine.why_not(accounting=True)):
        skip_for_machine("SLURM with accounting", why)
    with lock.held(LOCK):
        slurm_machine.up(**options)
        if accounting and not users.why_no_user():
            slurm_machine.account(users.make_user().pw_name)
        yield slurm_machine
        slurm_machine.up(**options)
        slurm_machine.clear()


@pytest.fixture(scope="session")
def second_user() -> pwd.struct_passwd:
    """A second user of this machine."""
    if why := users.why_no_user():
        skip_for_machine("a second user", why)
    return users.make_user()


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that everybody can reach and read, removed with all that anybody wrote there."""
    with _shared_folder("fractal-tests-") as folder:
        yield folder


@pytest.fixture
def user_folder(shared_folder: Path, second_user: pwd.struct_passwd) -> Path:
    """A folder of the second user that everybody can read."""
    folder = shared_folder / "user"
    folder.mkdir(mode=0o755)
    os.chown(folder, second_user.pw_uid, second_user.pw_gid)
    return folder


@pytest.fixture(scope="session")
def toy_environment() -> Iterator[ToyEnvironment]:
    """The toy tasks for the second user and compute nodes."""
    python = Path("/usr/bin/python3").resolve()
    if not python.exists():
        skip_for_machine("tasks as a second user", f"no {python}")
    with _shared_folder("fractal-toy-") as folder:
        package = folder / "toy_tasks"
        shutil.copytree(toy.ROOT, package, ignore=shutil.ignore_patterns("__pycache__"))
        for path in [package, *package.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield ToyEnvironment(python=str(python), package_root=str(package))


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "cluster_options(accounting, nodes, settings, …): how a test wants the cluster to be",
        "slurm_faults: what takes longest on the real cluster and hub; `make test-faults` runs it",
    ):
        config.addinivalue_line("markers", line)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of the cluster together, those with accounting last."""
    for item in items:
        if _needs_cluster(item):
            item.add_marker(pytest.mark.xdist_group("cluster"))
            item.add_marker(pytest.mark.slow)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))
    items.sort(key=_wants_accounting)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was not tested because of the machine."""
    reasons = Counter(
        report.longrepr[2].partition(f"{_MARK}: ")[2]
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple) and f"{_MARK}: " in report.longrepr[2]
    )
    if not reasons:
        return
    terminalreporter.section("NOT TESTED, because of this machine", sep="!", red=True, bold=True)
    for reason, count in sorted(reasons.items()):
        tests = "1 test" if count == 1 else f"{count} tests"
        terminalreporter.line(f"{reason}: {tests} skipped", red=True)


def _needs_cluster(item: pytest.Item) -> bool:
    return "slurm_machine" in getattr(item, "fixturenames", ())


def _wants_accounting(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("cluster_options")
    return bool(marker and marker.kwargs.get("accounting"))


@contextmanager
def _shared_folder(prefix: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=SHARED))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
