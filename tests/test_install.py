"""The package as it is installed: a wheel, in an environment of its own, with nothing beside it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

TRY = """
import json, sys
from pathlib import Path
from fractal_jupyter import Fractal

fractal = Fractal("sqlite:///store/fractal.db")
manifest = json.loads((Path(sys.argv[1]) / "__FRACTAL_MANIFEST__.json").read_text())
fractal._store.task_groups.add(
    entries=manifest["task_list"], resource_id=1, package="toy-tasks", version="1", origin="wheel",
    request={}, folder="toys", python_version="3", python=sys.executable, package_root=sys.argv[1],
)
dataset = fractal.datasets.create("d", zarr_dir="/data")
dataset.add_images([{"zarr_url": f"/data/{i}.zarr"} for i in range(3)])
job = fractal.submit("Toy Parallel", dataset).wait(120)
print(job.status, len(job.units(status="done")))
assert not [str(check) for check in fractal.resources.check("Local resource") if not check.ok]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the wheel and what it asks for."""
    from uv import find_uv_bin

    folder = tmp_path_factory.mktemp("installed")
    uv = [find_uv_bin(), "--quiet", "--system-certs"]
    subprocess.run([*uv, "build", "--wheel", "--out-dir", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder / "venv")], check=True)
    subprocess.run([*uv, "pip", "install", "--python", str(python), str(wheel)], check=True)
    return python


@pytest.mark.slow
def test_the_wheel_alone_runs_a_job(installed: Path, tmp_path: Path) -> None:
    toys = str(ROOT / "tests" / "toy_tasks")
    result = subprocess.run(
        [str(installed), "-c", TRY, toys],
        cwd=tmp_path,
        env={
            "HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            "FRACTAL_JUPYTER_SUPERVISOR_IDLE_SECONDS": "1",
        },
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "done 3"
