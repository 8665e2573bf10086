"""Forms of the tasks of a real package."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from fractal_jupyter import Fractal
from tests.labextension.lab import show_panel, view
from tests.toy import add_task_group

pytestmark = [pytest.mark.slow, pytest.mark.browser]

DATA = Path(__file__).parents[1] / "widgets" / "data" / "fractal_uzh_converters_0.7.1.json.gz"


def test_every_task_of_a_real_package_has_a_form(page: Page, fractal: Fractal) -> None:
    tasks = json.loads(gzip.decompress(DATA.read_bytes()))["task_list"]
    add_task_group(
        fractal._store,
        tasks,
        package="fractal-uzh-converters",
        version="0.7.1",
        folder="/nowhere",
    )
    listed = show_panel(page).get_by_role("list", name="Tasks of fractal-uzh-converters 0.7.1")
    expect(listed.get_by_role("button")).to_have_count(len(tasks))
    for task in tasks:
        listed.get_by_role("button").filter(has_text=task["name"]).first.click()
        expect(view(page).get_by_role("heading", level=1)).to_have_text(task["name"])
        # whatever can be given is given: groups of values, and each kind of them
        unset = view(page).get_by_role("button", name="Set: ")
        while unset.count():
            unset.first.click()
        # elements, not places: what is added may have such a button, too
        for button in view(page).get_by_role("button", name="Add: ").element_handles():
            if button.is_enabled():
                button.click(timeout=2_000)
        for chooser in view(page).get_by_role("combobox", name="Kind of ").all():
            chooser.select_option(index=1)
        datasets = view(page).get_by_role("combobox", name="Dataset", exact=True)
        plate = datasets.locator("option").filter(has_text="plate").get_attribute("value")
        datasets.select_option(plate)
        view(page).get_by_role("button", name="Plan").click()
        expect(view(page).get_by_role("alert").last).to_be_visible()
