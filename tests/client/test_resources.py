import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import AlreadyExists, InUse, InvalidDocument, NotAllowed, NotFound
from fractal_jupyter.hosts.local import LocalHost
from fractal_jupyter.runner.checks import Check, attempt, check_python
from tests.toy import make_dataset, toy_fractal

DOCUMENTS = Path(__file__).parents[1] / "models" / "data"
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def local(**fields: object) -> dict[str, object]:
    return {
        "type": "local",
        "name": "Second",
        "jobs_local_dir": "/somewhere/jobs",
        "jobs_runner_config": {},
        "jobs_poll_interval": 0,
        "tasks_local_dir": "/somewhere/tasks",
        "tasks_python_config": {"default_version": "3.12", "versions": {"3.12": "/no/python"}},
        "tasks_pixi_config": {},
        **fields,
    }


def test_a_new_store_has_a_local_resource_that_works(fractal: Fractal) -> None:
    (resource,) = fractal.resources.list()
    assert (resource.name, resource.type) == ("Local resource", "local")
    (profile,) = fractal.profiles.list()
    assert (profile.name, profile.resource) == ("Local profile", "Local resource")
    assert fractal.profile == "Local profile"
    checks = fractal.resources.check("Local resource")
    assert [str(check) for check in checks if not check.ok] == []
    assert {check.subject for check in checks} >= {"jobs_local_dir", "tasks_local_dir", "worker"}


def test_documents_are_kept_as_they_were_given(fractal: Fractal) -> None:
    documents = [json.loads(path.read_text()) for path in sorted(DOCUMENTS.glob("*resource*.json"))]
    assert len(documents) == 3
    for document in documents:
        if document["name"] == "Local resource":
            document["name"] = "Another local resource"
        fractal.resources.add(json.dumps(document))
        assert fractal.resources.get(document["name"]).document == document


def test_a_check_says_what_is_wrong_and_how_to_mend_it(fractal: Fractal, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    fractal.resources.add(local(jobs_local_dir=str(tmp_path / "a file" / "jobs")))
    checks = {check.subject: check for check in fractal.resources.check("Second")}
    assert not checks["jobs_local_dir"].ok
    assert "jobs_local_dir" in checks["jobs_local_dir"].cure
    assert not checks["Python 3.12"].ok
    assert checks["Python 3.12"].found == "/no/python is not there"
    assert "tasks_python_config" in checks["Python 3.12"].cure
    # It follows from the folder.
    assert checks["worker"].note
    assert checks["worker"].found == "not tried: jobs_local_dir cannot be written"
    assert not checks["worker"].cure


def test_a_worker_that_does_not_run_is_told(
    fractal: Fractal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no licence >&2\nexit 3\n")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    worker = {check.subject: check for check in fractal.resources.check("Local resource")}["worker"]
    assert not worker.ok
    assert worker.found.endswith("did not run a unit (exit status 3): no licence")
    assert worker.cure == "see that this Python runs, and that processes may be started"


def test_an_error_of_the_system_in_a_check_comes_with_a_cure() -> None:
    def no_room() -> Check:
        raise OSError(28, "No space left on device", "/jobs")

    check = attempt("worker", no_room, cure="make room")
    assert str(check) == "FAIL worker: [Errno 28] No space left on device: '/jobs' → make room"


def test_a_python_of_another_version_is_noticed(fractal: Fractal) -> None:
    for python, version, found in (
        (sys.executable, "2.7", f"{sys.executable} is Python {HERE}, not 2.7"),
        ("/bin/ls", "3.12", "/bin/ls is no Python"),
        ("/bin/cat", "3.12", "/bin/cat is no Python"),
        ("/etc/passwd", "3.12", "/etc/passwd cannot be run: Permission denied"),
    ):
        check = check_python(LocalHost(), version, python)
        assert not check.ok
        assert check.found == found


def test_resources_are_changed_and_removed(fractal: Fractal) -> None:
    fractal.resources.add(local())
    with pytest.raises(AlreadyExists):
        fractal.resources.add(local())
    changed = fractal.resources.update("Second", jobs_poll_interval=7)
    assert changed.document == local(jobs_poll_interval=7)
    with pytest.raises(InvalidDocument, match="jobs_poll_interval"):
        fractal.resources.update("Second", jobs_poll_interval="often")
    assert fractal.resources.get("Second").document == local(jobs_poll_interval=7)
    fractal.profiles.add({"name": "Mine", "resource_type": "local"}, resource="Second")
    with pytest.raises(InUse, match="'Mine'"):
        fractal.resources.remove("Second")
    fractal.profiles.remove("Mine")
    fractal.resources.remove("Second")
    with pytest.raises(NotFound):
        fractal.resources.get("Second")


def test_resources_and_profiles_get_other_names(fractal: Fractal) -> None:
    assert fractal.resources.update("Local resource", name="Here").name == "Here"
    assert fractal.profiles.update("Local profile", name="Me").name == "Me"
    assert [(p.name, p.resource) for p in fractal.profiles.list()] == [("Me", "Here")]
    assert fractal.resources.get("Here").document["name"] == "Here"
    with pytest.raises(NotFound, match="'Local resource'"):
        fractal.resources.get("Local resource")


def test_a_profile_must_be_of_its_resources_type(fractal: Fractal) -> None:
    profile = json.loads((DOCUMENTS / "profile_slurm_sudo.json").read_text())
    with pytest.raises(InvalidDocument, match="slurm_sudo"):
        fractal.profiles.add(profile, resource="Local resource")


USES: dict[str, Callable[[Fractal], object]] = {
    "add": lambda fractal: fractal.resources.add(local()),
    "update": lambda fractal: fractal.resources.update("Local resource", jobs_poll_interval=1),
    "check": lambda fractal: fractal.resources.check("Local resource"),
    "check a profile": lambda fractal: fractal.profiles.check("Local profile"),
    "collect": lambda fractal: fractal.collect("fractal-tasks-core"),
    "collect_custom": lambda fractal: fractal.collect_custom("x", python=sys.executable),
    "reactivate": lambda fractal: fractal.task_groups.get("toy-tasks").reactivate(),
    "scan": lambda fractal: fractal.datasets.get("plate").scan(),
    "plan": lambda fractal: fractal.plan("Toy Parallel", "plate"),
    "submit": lambda fractal: fractal.submit("Toy Parallel", "plate"),
    "retry": lambda fractal: fractal.jobs.list()[0].retry(),
}


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fractal]:
    """A store with a job that has failed."""
    with toy_fractal(tmp_path_factory.mktemp("used")) as fractal:
        dataset = make_dataset(fractal, 1)
        failed = fractal.submit("Toy Parallel", dataset, args={"behaviour": "raise"}).wait(60)
        assert failed.status == "failed"
        yield fractal


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_the_backend_variable_allows_one_type_only(
    used: Fractal, use: Callable[[Fractal], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRACTAL_RUNNER_BACKEND", "slurm_ssh")
    with pytest.raises(NotAllowed, match="FRACTAL_RUNNER_BACKEND=slurm_ssh allows"):
        use(used)
    monkeypatch.setenv("FRACTAL_RUNNER_BACKEND", "kubernetes")
    with pytest.raises(NotAllowed, match="no such type of resources; there are local, slurm_"):
        use(used)
    assert [job.status for job in used.jobs.list()] == ["failed"]
    assert used.activities.list() == []


def test_a_switched_off_warm_resource_stays_so(fractal: Fractal) -> None:
    assert fractal.resources.get("Local resource").warm
    assert not fractal.resources.update("Local resource", warm=False).warm
    assert not fractal.resources.update("Local resource", jobs_poll_interval=3).warm
