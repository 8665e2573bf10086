"""The magics in a real kernel: what front ends ask for and get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fractal_jupyter import Fractal
from tests.display.kernels import Kernel, of_kind, running_kernel
from tests.toy import make_dataset, toy_fractal


@pytest.fixture(scope="module")
def fractal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fractal]:
    with toy_fractal(tmp_path_factory.mktemp("store")) as fractal:
        make_dataset(fractal, 3)
        yield fractal


@pytest.fixture(scope="module")
def kernel(fractal: Fractal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with running_kernel() as kernel:
        kernel.run(
            "%load_ext fractal_jupyter\nfrom fractal_jupyter import Fractal\n"
            f"fractal = Fractal({fractal.url!r})"
        )
        yield kernel


def complete(kernel: Kernel, code: str) -> list[str]:
    reply = kernel.client.complete(code, len(code), reply=True, timeout=60)["content"]
    return [code[: reply["cursor_start"]] + match for match in reply["matches"]]


def test_completion(kernel: Kernel) -> None:
    assert complete(kernel, "%fractal ret") == ["%fractal retry"]
    assert complete(kernel, '%fractal submit "Toy Pa') == ['%fractal submit "Toy Parallel"']
    assert complete(kernel, "x = %fractal submit Toy") == [
        f'x = %fractal submit "Toy {name}"'
        for name in ("Parallel", "Copy", "Converter", "Compound", "Summary")
    ]


def test_a_job_from_submission_to_its_end(kernel: Kernel) -> None:
    messages = kernel.run('job = %fractal submit "Toy Parallel" plate\njob.wait(60).status')
    (result,) = of_kind(messages, "execute_result")
    assert result["content"]["data"]["text/plain"] == "'done'"
    assert len(of_kind(messages, "display_data")) == 1


def test_an_error_stops_the_notebook_with_one_line(kernel: Kernel, tmp_path: Path) -> None:
    key = kernel.send("%fractal datasets nowhere")
    messages = kernel.outputs(key)
    (said,) = of_kind(messages, "stream")
    assert said["content"]["text"].startswith("UsageError: ")
    assert "nowhere" in said["content"]["text"]
    assert not of_kind(messages, "error")
    assert kernel.reply(key)["status"] == "error"


def test_tables_are_shown(kernel: Kernel) -> None:
    messages = kernel.run("%fractal tasks")
    (result,) = of_kind(messages, "execute_result")
    assert "Toy Parallel" in result["content"]["data"]["text/html"]
    assert "Toy Parallel" in result["content"]["data"]["text/plain"]
