"""What a shell shows of things that know nothing of showing themselves."""

from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from fractal_jupyter import Fractal
from fractal_jupyter.environments.lock import Distribution, Lock
from tests.toy import make_dataset


def test_what_is_made_below_the_client_is_shown_by_a_shell(
    shell: InteractiveShell, fractal: Fractal
) -> None:
    def html(thing: object) -> str:
        format_it: Any = shell.display_formatter
        return str(format_it.format(thing)[0].get("text/html", ""))

    dataset = make_dataset(fractal, 2)
    again = Fractal(fractal.url)
    assert "plate-0.zarr" in html(dataset.images[0])
    args = {"behaviour": "raise", "only": "-1.zarr"}
    job = fractal.submit("Toy Parallel", dataset, args=args).wait(60)
    failed = html(job.units()[1])
    assert "ValueError: the toy is broken" in failed
    assert "plate-1.zarr" in failed
    assert "behaviour" in html(job.steps[0])
    assert "1 failed" in html(job.steps[0])
    assert "toy" in html(Lock("3.11.7", "linux", (Distribution("toy", "1"),)))
    assert "fractal.jobs" in html(again)
    assert "1 failed" in html(again)
    again.close()
