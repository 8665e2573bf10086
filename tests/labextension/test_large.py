"""Large stores stay quick: the panel with a thousand jobs, the table with ten thousand units."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from fractal_jupyter import Fractal
from tests.labextension.lab import show_panel, view
from tests.labextension.large import FAILED, UNITS, add_large_job

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_large_stores_stay_quick(page: Page, fractal: Fractal) -> None:
    large = add_large_job(fractal)
    panel = show_panel(page)
    expect(panel.locator(".fj-section .fj-status").first).to_be_visible()
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
    # what was chosen is in sight, beside its log
    expect(last).to_have_attribute("aria-selected", "true")
    expect(last).to_be_in_viewport()
    log = view(page).get_by_role("heading", name=f"Log of unit {UNITS - 1}")
    expect(log).to_be_in_viewport()
    expect(table).to_be_focused()
    view(page).get_by_label("Units to show").select_option("failed")
    expect(rows).to_have_count(FAILED)
    expect(table).to_have_attribute("aria-rowcount", str(FAILED + 1))

    # the timeline has a path for each status, whatever the number of units
    timeline = view(page).get_by_role("slider", name="Units over time")
    expect(timeline).to_have_attribute("aria-valuemax", str(UNITS))
    assert timeline.locator("path[data-status]").count() == 2
    # what has failed is drawn on top, and can be seen
    outline = timeline.locator("path[data-status]").last
    expect(outline).to_have_attribute("data-status", "failed")
    widths = re.findall(r" \d+h([\d.]+)", outline.get_attribute("d") or "")
    assert len(widths) == FAILED
    assert min(float(width) for width in widths) >= 3
    assert timeline.locator("*").count() < 100
    timeline.focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(table.get_by_role("row", selected=True)).to_contain_text(f"/data/{UNITS - 3}.zarr")
