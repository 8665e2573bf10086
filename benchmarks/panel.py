"""How soon the panel of JupyterLab shows jobs, when there are a thousand."""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
from collections.abc import Sequence

from playwright.sync_api import Page

from benchmarks.common import Row, run_benchmark, say, scratch_folder
from tests.labextension.lab import running_browser, running_lab, show_panel, wait_for_lab
from tests.labextension.large import JOBS, add_large_job
from tests.toy import make_dataset, toy_fractal

# JupyterLab is ready when it has restored its layout. What is in the page has been painted when
# the second frame after it begins.
WATCH = """
const seen = (window.seen = {});
const look = () => {
  if (!seen.asked && window.jupyterapp) {
    seen.asked = true;
    jupyterapp.restored.then(() => (seen.lab = performance.now()));
  }
  if (!seen.found && document.querySelector('.fj-panel .fj-status')) {
    seen.found = true;
    requestAnimationFrame(() =>
      requestAnimationFrame(() => (seen.panel = performance.now()))
    );
  }
};
new MutationObserver(look).observe(document, {childList: true, subtree: true});
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--repetitions", type=int, default=5)


def measure(options: argparse.Namespace) -> Sequence[Row]:
    """Open JupyterLab again and again, with the panel as it was left."""
    with scratch_folder() as folder, toy_fractal(folder) as fractal:
        make_dataset(fractal, 4)
        with contextlib.redirect_stdout(io.StringIO()):
            add_large_job(fractal)
        with running_lab(folder / "lab", fractal) as lab, running_browser() as browser:
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            lab.open(page, workspace="panel")
            # JupyterLab keeps its layout a moment after it has changed
            with page.expect_response(lambda it: "api/workspaces" in it.url):
                show_panel(page)
            page.add_init_script(WATCH)
            took = [reload(page) for _ in range(options.repetitions)]
    return [
        Row(
            what=f"JupyterLab is ready → the panel shows jobs, of {JOBS:,}",
            ours=statistics.median(took),
            target="below",
            limit=0.3,
            note=f"median of {options.repetitions}, at most {max(took):.3f} s",
        )
    ]


def reload(page: Page) -> float:
    """Seconds by which the panel is painted later than JupyterLab is ready, 0 at least."""
    page.reload()
    wait_for_lab(page)
    page.wait_for_function("window.seen.lab && window.seen.panel")
    seen: dict[str, float] = page.evaluate("window.seen")
    seconds = max(0.0, seen["panel"] - seen["lab"]) / 1000
    say(f"the panel is there {seconds:.3f} s after JupyterLab")
    return seconds


if __name__ == "__main__":
    run_benchmark(measure, description=__doc__, options=add_options)
