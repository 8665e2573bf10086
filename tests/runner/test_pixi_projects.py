"""Task groups of pixi projects, on this machine; on a cluster in tests/slurm."""

from __future__ import annotations

from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from fractal_jupyter.errors import CollectionError, InvalidArguments, NotAllowed, NotFound
from tests.environments.packages import make_task_wheel
from tests.environments.test_pixi import Bench
from tests.toy import make_dataset


@pytest.fixture
def bench(fractal: Fractal, tmp_path: Path) -> Bench:
    """A machine with pixi, which the local resource knows."""
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench")
    make_task_wheel(bench.channel)
    fractal.resources.update(
        "Local resource", tasks_pixi_config=bench.config.model_dump(exclude={"SLURM_CONFIG"})
    )
    return bench


def test_a_project_is_built_again_from_its_archive_and_lock(fractal: Fractal, bench: Bench) -> None:
    archive = bench.archive
    group = fractal.collect(archive, pixi=True, pixi_version="0.50.1")
    lock = group.lock
    assert (group.origin, group.package, group.version) == ("pixi", "my-tasks", "1.0")
    assert lock is not None
    assert lock.pixi is not None
    assert fractal.collect(archive, pixi=True, pixi_version="0.50.1").id == group.id
    archive.unlink()
    # which pixi would take now if it solved
    make_task_wheel(bench.channel, version="1.5")
    group.deactivate()
    assert not Path(group.folder).exists()
    group.reactivate()
    assert group.lock == lock
    assert [call["frozen"] for call in bench.calls("0.50.1") if call["verb"] == "install"] == [
        False,
        True,
    ]
    job = fractal.submit("Do it", make_dataset(fractal, 1)).wait(60)
    assert job.status == "done", job.error
    assert job.environment().lock == lock
    with pytest.raises(NotAllowed, match="collect that archive there"):
        fractal.task_groups.export(group)
    group.deactivate()
    (bench.channel / "my_tasks-1.0-py3-none-any.whl").unlink()
    with pytest.raises(CollectionError, match="cannot reach a channel"):
        group.reactivate()
    assert not group.active
    assert not Path(group.folder).exists()
    group.delete()


def test_what_cannot_be_meant_is_told_at_once(fractal: Fractal, bench: Bench) -> None:
    with pytest.raises(NotFound, match=r"has no pixi 1\.0; it has 0\.47\.0, 0\.50\.1"):
        fractal.collect(bench.archive, pixi=True, pixi_version="1.0")
    with pytest.raises(InvalidArguments, match="says itself which Python"):
        fractal.collect(bench.archive, pixi=True, python="3.11")
    fractal.resources.update("Local resource", tasks_pixi_config={})
    with pytest.raises(NotFound, match="has no pixi"):
        fractal.collect(bench.archive, pixi=True)
    assert fractal.activities.list() == []
