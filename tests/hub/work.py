"""What users of a hub do, over REST."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from tests import toy
from tests.environments.packages import MANIFEST, make_wheel
from tests.hub.hub import SECONDS, User
from tests.toy import wait_until

IMAGES = 3


class Asks(Protocol):
    """Asks the extension of a server."""

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What it answers."""


def toy_wheel(folder: Path) -> Path:
    """The toy tasks as a package that users can install."""
    files = {path.name: path.read_text() for path in toy.ROOT.glob("*.py")}
    text = (toy.ROOT / MANIFEST).read_text()
    return make_wheel(folder, "toy-tasks", manifest_text=text, files=files)


def by_name(user: Asks, noun: str, name: str) -> Any:
    """The resource, profile or task of that name."""
    return next(item for item in user.ask("GET", noun)["items"] if item["name"] == name)


def collect(user: User, wheel: Path, profile: str) -> None:
    """Have the user's server install a package."""
    body = {"requirement": str(wheel), "profile_id": by_name(user, "profiles", profile)["id"]}
    key = user.ask("POST", "task_groups", body)["id"]

    def activity() -> Any:
        return user.ask("GET", f"activities/{key}")

    wait_until(lambda: activity()["status"] not in ("pending", "ongoing"), seconds=SECONDS)
    assert activity()["status"] == "OK", activity()["error"]


def make_dataset(user: Asks, name: str, folder: Path) -> int:
    """Make a dataset of images that exist by name only, below a folder; its id."""
    body = {"name": name, "zarr_dir": str(folder), "project_dir": str(folder)}
    dataset = int(user.ask("POST", "datasets", body)["id"])
    images = [{"zarr_url": f"{folder}/{n}.zarr"} for n in range(IMAGES)]
    user.ask("POST", f"datasets/{dataset}/images", {"images": images})
    return dataset


def submit(user: User, name: str, profile: str, *, folder: Path | None = None, **args: Any) -> int:
    """Submit toy units on a new dataset below a folder, the user's home; the id of the job."""
    return submit_in(folder or user.home / name, user, name, profile, **args)


def submit_in(folder: Path, user: Asks, name: str, profile: str, **args: Any) -> int:
    """Submit toy units on a new dataset below a folder; the id of the job."""
    dataset = make_dataset(user, name, folder)
    chosen = by_name(user, "profiles", profile)
    (task,) = (
        task
        for task in user.ask("GET", "tasks")["items"]
        if task["name"] == "Toy Parallel" and task["resource_id"] == chosen["resource_id"]
    )
    job = {"dataset_id": dataset, "task_id": task["id"], "profile_id": chosen["id"], "args": args}
    return int(user.ask("POST", "jobs", {**job, "name": name})["id"])


def ended(user: Asks, job: int) -> Any:
    """Wait until a job is over; the job."""
    wait_until(lambda: _is_over(user, job), seconds=SECONDS)
    return user.ask("GET", f"jobs/{job}")


def units(user: Asks, job: int) -> list[Any]:
    """The units of a job."""
    return list(user.ask("GET", f"jobs/{job}/units")["items"])


class Gate:
    """What keeps units waiting in the middle of their work."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.gate"

    def waiting(self) -> list[int]:
        """The processes of the units that wait."""
        found = self.path.parent.glob(f"{self.path.name}.*.waiting")
        return [int(path.name.split(".")[-2]) for path in found]

    def wait_for(self, count: int) -> None:
        """Wait until so many units wait."""
        wait_until(lambda: len(self.waiting()) >= count, seconds=SECONDS)

    def open(self) -> None:
        """Let them go on."""
        self.path.touch()


def _is_over(user: Asks, job: int) -> bool:
    return user.ask("GET", f"jobs/{job}")["status"] in ("done", "failed", "cancelled")


def local_resource(name: str, **fields: Any) -> dict[str, Any]:
    """A resource for the machine of the hub, with folders below the home of its user."""
    return {
        "type": "local",
        "name": name,
        "jobs_local_dir": "{home}/fractal/jobs",
        "jobs_runner_config": {"parallel_tasks_per_job": IMAGES},
        "jobs_poll_interval": 1,
        "tasks_local_dir": "{home}/fractal/tasks",
        "tasks_python_config": {
            "default_version": "3.11",
            "versions": {"3.11": "/usr/bin/python3.11"},
        },
        "tasks_pixi_config": {},
        **fields,
    }
