"""Large stores stay quick: the panel with a thousand jobs, the table with ten thousand units."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, expect

from fractal_jupyter import Fractal
from fractal_jupyter.store.tables import jobs, steps, units
from tests.labextension.lab import RunningLab, show_panel, view

pytestmark = [pytest.mark.slow, pytest.mark.browser]

JOBS, UNITS, FAILED = 1_000, 10_000, 7
MOST_MS = 300
# The page is ready when JupyterLab shows something to click, the panel when it shows jobs.
WATCH = """
const seen = (window.seen = {});
new MutationObserver(() => {
  for (const [name, what] of [['lab', '.jp-LauncherCard'], ['panel', '.fj-section .fj-status']]) {
    if (!(name in seen) && document.querySelector(what)) seen[name] = performance.now();
  }
}).observe(document, {childList: true, subtree: true});
"""


@pytest.fixture
def large(fractal: Fractal) -> int:
    """The number of a job with many units, in a store with many jobs."""
    done = fractal.submit("Toy Parallel", "plate").wait(60)
    with fractal._store.database.write() as connection:
        job = connection.execute(sa.select(jobs).where(jobs.c.id == done.id)).one()._asdict()
        step = connection.execute(sa.select(steps).where(steps.c.job_id == done.id)).one()
        unit = connection.execute(
            sa.select(units).where(units.c.job_id == done.id, units.c.index == 0)
        ).one()
        key = done.id + JOBS
        keys = range(done.id + 1, key + 1)
        connection.execute(
            sa.insert(jobs), [{**job, "id": one, "name": f"Many {one}"} for one in keys]
        )
        numbers = {"total": UNITS, "done": UNITS - FAILED, "failed": FAILED}
        rows = [{**step._asdict(), "job_id": one, **numbers} for one in keys]
        connection.execute(sa.insert(steps), rows)
        every = UNITS // FAILED
        connection.execute(
            sa.insert(units),
            [
                {
                    **unit._asdict(),
                    "job_id": key,
                    "index": index,
                    "zarr_url": f"/data/{index}.zarr",
                    "status": "failed" if index % every == every - 1 else "done",
                    "started": unit.started + index // 8 * 0.2,
                    "ended": unit.started + index // 8 * 0.2 + 0.19,
                    "node": f"node{index % 4}",
                }
                for index in range(UNITS)
            ],
        )
    return key


def test_large_stores_stay_quick(
    large: int, fractal: Fractal, lab: RunningLab, browser: Browser
) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.add_init_script(WATCH)
    lab.open(page, workspace="large")
    panel = show_panel(page)
    expect(panel.locator(".fj-section .fj-status").first).to_be_visible()
    seen = page.evaluate("window.seen")
    assert seen["panel"] - seen["lab"] < MOST_MS

    panel.get_by_role("button", name="Older").click()
    expect(panel).not_to_contain_text(f"#{large} ")
    panel.get_by_role("button", name="Newer").click()
    panel.get_by_role("button").filter(has_text=f"#{large} ").click()
    table = view(page).get_by_role("grid")
    rows = table.locator(".fj-table-row")
    expect(rows.nth(FAILED - 1)).to_contain_text("failed")
    expect(rows.nth(FAILED)).to_contain_text("done")
    assert rows.count() < 100
    table.focus()
    page.keyboard.press("End")
    last = table.locator(f"[aria-rowindex='{UNITS + 1}']")
    expect(last).to_contain_text(f"/data/{UNITS - 1}.zarr", timeout=2_000)
    view(page).get_by_label("Units to show").select_option("failed")
    expect(rows).to_have_count(FAILED)
    expect(table).to_have_attribute("aria-rowcount", str(FAILED + 1))

    # the timeline has a path for each status, whatever the number of units
    timeline = view(page).get_by_role("slider", name="Units over time")
    expect(timeline).to_have_attribute("aria-valuemax", str(UNITS))
    assert timeline.locator("path[data-status]").count() == 2
    assert timeline.locator("*").count() < 100
    timeline.focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(table.get_by_role("row", selected=True)).to_contain_text(f"/data/{UNITS - 3}.zarr")
    page.close()
