"""What else can be said of a submission, and what is left of a job: kept, planned, looked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from playwright.sync_api import Locator, Page, expect

from fractal_jupyter import Fractal
from fractal_jupyter.client.datasets import Dataset
from fractal_jupyter.environments.lock import Distribution, Lock
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.store.tables import task_groups
from tests.client.test_administrators_files import BATCHING
from tests.labextension.lab import PICTURES, show_panel, view, wait_for_lab
from tests.labextension.test_looks import THEMES, findings
from tests.toy import add_task_group

pytestmark = [pytest.mark.slow, pytest.mark.browser]

NAME = "wells to choose from"


@pytest.fixture
def dataset(fractal: Fractal) -> Iterator[Dataset]:
    """Two wells; gone afterwards, if it is not yet."""
    dataset = fractal.datasets.create(NAME, zarr_dir="/data")
    dataset.add_images(
        [
            {"zarr_url": f"/data/{well}.zarr", "attributes": {"well": well}, "types": {"is_3D": k}}
            for well, k in (("B03", True), ("B04", False))
        ]
    )
    yield dataset
    if NAME in [each.name for each in fractal.datasets.list()]:
        fractal.datasets.remove(NAME)


@pytest.fixture(scope="module")
def _locked(fractal: Fractal) -> None:
    """Let it be known what the tasks run in."""
    lock = Lock("3.11.7", "linux-x86_64-glibc", (Distribution("form-tasks", "1.0"),))
    ours = task_groups.c.package == "form-tasks"
    with fractal._store.database.write() as connection:
        connection.execute(sa.update(task_groups).where(ours).values(lock=lock.to_document()))


def open_task(page: Page, name: str) -> Locator:
    region = show_panel(page).get_by_role("region", name="Tasks")
    region.get_by_role("button").filter(has_text=name).first.click()
    expect(view(page).get_by_role("heading", level=1)).to_have_text(name)
    return view(page)


def choose_dataset(form: Locator) -> None:
    datasets = form.get_by_role("combobox", name="Dataset", exact=True)
    key = datasets.locator("option").filter(has_text=NAME).get_attribute("value")
    datasets.select_option(key)


def wrong(form: Locator, label: str) -> Locator:
    """What is said to be wrong at a field."""
    return form.locator(".fj-field", has=form.page.get_by_label(label, exact=True)).locator(
        ".fj-wrong"
    )


@pytest.mark.usefixtures("_locked")
def test_options_are_kept_and_sent_and_the_job_can_be_removed(
    page: Page, fractal: Fractal, dataset: Dataset
) -> None:
    page.set_viewport_size({"width": 1000, "height": 700})
    form = open_task(page, "Needs File")
    form.get_by_label("say").fill("kept")
    choose_dataset(form)
    form.get_by_text("More options").focus()
    page.keyboard.press("Enter")
    form.get_by_label("Name of the job").fill("at night")
    form.get_by_role("button", name="Set: type_filters").click()
    form.get_by_label("Name of a new entry of type_filters").fill("is_3D")
    page.keyboard.press("Enter")
    form.get_by_label("cpus per task").fill("0")
    # what the server refuses stands at its field, however it tells, and is not folded
    form.get_by_text("More options").click()
    form.get_by_role("button", name="Plan").click()
    expect(wrong(form, "cpus per task")).to_contain_text("Found 0")
    form.get_by_label("cpus per task").fill("2")
    # what only a scheduler takes is not asked for
    expect(form.get_by_label("mem", exact=True)).to_have_count(0)
    form.get_by_label("is_3D", exact=True).select_option(label="default")
    form.get_by_role("button", name="Plan").click()
    expect(wrong(form, "is_3D").first).to_contain_text("true or false")
    form.get_by_label("is_3D", exact=True).select_option("true")
    form.get_by_label("Memory limit").fill("lots")
    form.get_by_role("button", name="Plan").click()
    expect(wrong(form, "Memory limit")).to_contain_text("memory_limit='lots'")
    with page.expect_response(lambda it: "api/workspaces" in it.url and it.request.method == "PUT"):
        form.get_by_label("Memory limit").fill("2G")

    page.reload()
    wait_for_lab(page)
    expect(form.get_by_label("say")).to_have_value("kept")
    expect(form.get_by_text("More options")).to_contain_text("(4 filled in)")
    form.get_by_role("button", name="Plan").click()
    plan = form.get_by_role("status", name="Plan")
    expect(plan.get_by_role("heading")).to_have_text("This would run: at night")
    expect(plan).to_contain_text("Needs File on 1 image (is_3D): 1 unit in 1 batch")
    form.get_by_role("button", name="Submit").click()

    shown = view(page)
    expect(shown.get_by_role("status").first).to_have_text("done", timeout=60_000)
    (job, *_) = fractal.jobs.list()
    assert (job.name, [unit.zarr_url for unit in job.units()]) == ("at night", ["/data/B03.zarr"])
    (step,) = job.steps
    assert step.request["meta_parallel"]["cpus_per_task"] == 2
    cell = job.code()
    for said in (
        'name="at night"',
        'type_filters={"is_3D": True}',
        "memory_limit=2000",
        '"cpus_per_task": 2',
    ):
        assert said in cell
    shown.get_by_text("What it ran in").click()
    expect(shown.get_by_label("What step 0 ran in").last).to_contain_text("linux-x86_64-glibc")
    expect(shown.get_by_role("list", name="What was installed")).to_have_text("form-tasks==1.0")
    assert not findings(page)

    # a dataset is removed after its jobs are
    shown.get_by_role("button", name="Remove…").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("The images that it has made stay")
    assert not findings(page, ".jp-Dialog-content")
    asked.get_by_role("button", name="Remove").click()
    jobs = show_panel(page).get_by_role("region", name="Jobs")
    expect(jobs.get_by_role("button").filter(has_text=f"#{job.id} ")).to_have_count(0)
    assert job.id not in [each.id for each in fractal.jobs.list()]
    open_task(page, "Needs File").get_by_role("button", name="Remove dataset…").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(form.get_by_role("combobox", name="Dataset", exact=True)).not_to_contain_text(NAME)
    assert NAME not in [each.name for each in fractal.datasets.list()]


def test_options_of_a_workflow(page: Page, fractal: Fractal, dataset: Dataset) -> None:
    fractal.workflows.create("Of wells", steps=[{"task": "Toy Parallel"}])
    show_panel(page).get_by_role("button").filter(has_text="Of wells").click()
    form = view(page)
    choose_dataset(form)
    form.get_by_text("More options").click()
    expect(form.get_by_role("region", name="What units need")).to_have_count(0)
    form.get_by_role("button", name="Set: attribute_filters").click()
    form.get_by_label("Name of a new entry of attribute_filters").fill("well")
    form.get_by_role("button", name="Add: attribute_filters").click()
    form.get_by_role("button", name="Add: well").click()
    form.get_by_role("group", name="well").get_by_role("textbox").fill("B04")
    form.get_by_role("button", name="Plan").click()
    plan = form.get_by_role("status", name="Plan")
    expect(plan).to_contain_text("Toy Parallel on 1 image: 1 unit")
    form.get_by_role("group", name="well").get_by_role("textbox").fill("B05")
    form.get_by_role("button", name="Plan").click()
    expect(form.get_by_role("alert").last).to_contain_text("lets 0 of 2 through")
    fractal.workflows.remove("Of wells")


@pytest.fixture
def slurm(fractal: Fractal) -> Iterator[str]:
    """A profile of a cluster that need not be there, with a task; gone afterwards."""
    local = fractal.resources.get("Local resource").document
    runner = {
        "default_slurm_config": {"partition": "main", "mem": 50},
        "batching_config": BATCHING,
    }
    fractal.resources.add(
        {
            **local,
            "type": "slurm_sudo",
            "name": "Cluster",
            "jobs_runner_config": runner,
            "jobs_slurm_python_worker": "/usr/bin/python3",
        }
    )
    fractal.profiles.add(
        {"resource_type": "slurm_sudo", "name": "On the cluster", "username": current_user()},
        resource="Cluster",
    )
    entry = {"name": "Far away", "type": "parallel", "executable_parallel": "task.py"}
    add_task_group(fractal._store, [entry], package="far", folder="/tmp", resource="Cluster")
    yield "On the cluster"
    groups = fractal._store.task_groups
    key = next(group.id for group in groups.all() if group.package == "far")
    groups.deactivate(key)
    groups.remove(key)
    fractal.profiles.remove("On the cluster")
    fractal.resources.remove("Cluster")


def test_the_script_of_a_plan(page: Page, dataset: Dataset, slurm: str) -> None:
    show_panel(page).get_by_role("combobox", name="Profile").select_option(label=slurm)
    form = open_task(page, "Far away")
    choose_dataset(form)
    form.get_by_text("More options").click()
    expect(form.get_by_label("Memory limit")).to_have_count(0)
    expect(form.get_by_label("mem", exact=True)).to_be_visible()
    form.get_by_text("More", exact=True).click()
    form.get_by_label("gres").fill("gpu:1 gpu:2")
    form.get_by_text("More", exact=True).click()
    form.get_by_role("button", name="Plan").click()
    expect(wrong(form, "gres")).to_be_visible()
    form.get_by_label("gres").fill("")
    form.get_by_label("Account").fill("lab7")
    form.get_by_label("Shell lines").fill("module load one\nmodule load two")
    form.get_by_role("button", name="Plan").click()
    form.get_by_text("Script: Far away").click()
    script = form.get_by_label("Script: Far away", exact=True)
    expect(script).to_contain_text("#SBATCH --account=lab7")
    expect(script).to_contain_text("module load two")
    PICTURES.mkdir(parents=True, exist_ok=True)
    change = "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})"
    for theme, name in THEMES.items():
        page.evaluate(change, name)
        page.locator(f"body[data-jp-theme-name='{name}']").wait_for(state="attached")
        assert not findings(page)
        page.screenshot(path=PICTURES / f"plan-{theme}.png")
