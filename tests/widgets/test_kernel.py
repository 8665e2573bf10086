"""Widgets in a real kernel: what front ends get, and what they send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter import Fractal
from tests.display.kernels import Kernel, Message, of_kind, running_kernel
from tests.toy import make_dataset, toy_fractal

VIEW = "application/vnd.jupyter.widget-view+json"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fractal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fractal]:
    folder: Path = tmp_path_factory.mktemp("store")
    with toy_fractal(folder) as fractal:
        make_dataset(fractal, 8)
        yield fractal


@pytest.fixture(scope="module")
def kernel(fractal: Fractal) -> Iterator[Kernel]:
    with running_kernel() as kernel:
        kernel.run(f"from fractal_jupyter import Fractal\nfractal = Fractal({fractal.url!r})")
        yield kernel


def opened(messages: list[Message], name: str) -> str:
    """The id of the widget with that description."""
    for message in of_kind(messages, "comm_open"):
        if message["content"]["data"]["state"].get("description") == name:
            return str(message["content"]["comm_id"])
    raise AssertionError(f"no widget is called {name}")


def subshell(kernel: Kernel) -> str:
    """Another thread of the kernel that handles messages, as JupyterLab asks for one."""
    kernel.client.control_channel.send(
        kernel.client.session.msg("create_subshell_request", content={})
    )
    return str(kernel.client.get_control_msg(timeout=30)["content"]["subshell_id"])


def change(kernel: Kernel, key: str, *, shell: str, **state: Any) -> None:
    """What a front end sends when a person changes a widget."""
    data = {"method": "update", "state": state, "buffer_paths": []}
    message = kernel.client.session.msg("comm_msg", content={"comm_id": key, "data": data})
    message["header"]["subshell_id"] = shell
    kernel.client.shell_channel.send(message)


def test_a_form_is_filled_in_on_another_thread(kernel: Kernel) -> None:
    messages = kernel.run('form = fractal.form("Toy Parallel")\nform')
    (result,) = of_kind(messages, "execute_result")
    assert VIEW in result["content"]["data"]
    assert "fractal.submit" in result["content"]["data"]["text/html"]
    change(kernel, opened(messages, "seconds"), shell=subshell(kernel), value="0.25")
    kernel.until('"seconds": 0.25')
    (output,) = of_kind(kernel.run("print(form.args())"), "stream")
    assert output["content"]["text"] == "{'args': {'seconds': 0.25}}\n"


def test_a_monitor_moves_while_a_cell_is_busy(kernel: Kernel) -> None:
    kernel.run('job = fractal.submit("Toy Parallel", "plate", args={"seconds": 1})')
    (result,) = of_kind(kernel.run("job.monitor()"), "execute_result")
    assert "Toy Parallel" in result["content"]["data"]["text/html"]
    busy = kernel.send(
        "import time\n"
        "while job.status in ('submitted', 'running'):\n"
        "    time.sleep(0.05)\n"
        "time.sleep(3)"
    )
    updates = of_kind(kernel.outputs(busy), "comm_msg")
    shown = [str(message["content"]["data"]["state"].get("value", "")) for message in updates]
    assert any("8 / 8" in markup for markup in shown)
