"""Resources and profiles are added, changed and checked in JupyterLab."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Locator, Page, Route, expect

from fractal_jupyter import Fractal
from fractal_jupyter.runner.users import current_user
from fractal_jupyter.store.tables import resources
from tests.labextension.lab import RunningLab, show_panel, view, wait_for_lab
from tests.labextension.test_looks import findings
from tests.slurm.fixtures import skip_for_machine
from tests.sshd import Sshd, why_no_sshd

DATA = Path(__file__).parents[1] / "models" / "data"
SLURM_SSH = json.loads((DATA / "resource_slurm_ssh.json").read_text())
SLURM_SUDO = json.loads((DATA / "resource_slurm_sudo.json").read_text())

# What a check has found: something that works, and something that nobody has tried.
WORKS = {"subject": "SLURM", "ok": True, "note": False, "found": "it answers", "cure": ""}
NOT_TRIED = {
    "subject": "worker",
    "ok": True,
    "note": True,
    "found": "not tried",
    "cure": "give one",
}

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def shared(fractal: Fractal, tmp_path: Path) -> Iterator[str]:
    """The name of a resource that nobody else uses."""
    document = fractal.resources.list()[0].document
    name = f"Shared {tmp_path.name}"
    fractal.resources.add({**document, "name": name})
    yield name
    for resource in fractal.resources.list():
        if resource.name.startswith(name):
            fractal.resources.remove(resource.name)


def open_place(page: Page, name: str) -> Locator:
    panel = show_panel(page)
    listed = panel.get_by_role("list", name="Resources and profiles", exact=True)
    if not listed.is_visible():
        panel.get_by_text("Resources and profiles").click()
    listed.get_by_role("button").filter(has_text=name).first.click()
    expect(view(page).get_by_role("heading", level=1)).to_have_text(name)
    return view(page)


def test_a_resource_and_its_profile_are_added_and_checked(
    page: Page, fractal: Fractal, tmp_path: Path
) -> None:
    show_panel(page)
    page.locator(".jp-LauncherCard", has_text="Add a Fractal Resource").click()
    editor = view(page)
    editor.get_by_label("name (required)").fill("Made here")
    editor.get_by_label("jobs local dir (required)").fill("nowhere")
    editor.get_by_label("tasks local dir (required)").fill(str(tmp_path / "tasks"))
    editor.get_by_role("button", name="Save").click()
    wrong = editor.locator(".fj-field", has=page.get_by_label("jobs local dir (required)"))
    expect(wrong.locator(".fj-wrong")).to_contain_text("an absolute path")

    # the same document as text
    text = editor.get_by_role("textbox", name="As JSON")
    document = json.loads(text.input_value())
    text.fill("{")
    expect(editor.get_by_text("This is no JSON")).to_be_visible()
    expect(editor.get_by_role("button", name="Save")).to_be_disabled()
    text.fill(json.dumps({**document, "jobs_local_dir": str(tmp_path / "jobs")}))
    expect(editor.get_by_label("jobs local dir (required)")).to_have_value(str(tmp_path / "jobs"))
    editor.get_by_role("button", name="Save").click()
    expect(editor.get_by_text("Saved.")).to_be_visible()
    assert fractal.resources.get("Made here").document["jobs_local_dir"] == str(tmp_path / "jobs")
    expect(page.locator(".lm-TabBar-tabLabel", has_text="Made here")).to_be_visible()

    editor.get_by_role("button", name="Check").click()
    check = editor.get_by_role("region", name="Check")
    expect(check.get_by_role("status")).to_have_text("all works", timeout=60_000)

    page.evaluate("jupyterapp.commands.execute('fractal:add-profile')")
    editor = view(page)
    expect(editor.get_by_role("heading", level=1)).to_have_text("New profile")
    editor.get_by_role("combobox", name="Resource").select_option(label="Made here (local)")
    editor.get_by_label("name (required)").fill("Mine")
    editor.get_by_role("button", name="Save").click()
    expect(editor.get_by_text("Saved.")).to_be_visible()
    assert fractal.profiles.get("Mine").resource == "Made here"

    for name in ("Mine", "Made here"):
        open_place(page, name).get_by_role("button", name="Remove…").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        tab = page.locator(".lm-TabBar-tabLabel", has_text=name)
        expect(tab).to_have_count(0)
    assert "Made here" not in [resource.name for resource in fractal.resources.list()]


def test_units_are_warm_or_not(page: Page, fractal: Fractal, shared: str) -> None:
    editor = open_place(page, shared)
    switch = editor.get_by_role("checkbox", name="Warm units")
    expect(switch).to_be_checked()
    switch.click()
    expect(switch).not_to_be_checked()
    assert not fractal._store.resources.get(shared).warm
    switch.click()
    expect(switch).to_be_checked()
    assert fractal._store.resources.get(shared).warm


def test_the_key_of_a_host_is_trusted_where_it_is_shown(
    page: Page, fractal: Fractal, lab: RunningLab, tmp_path: Path
) -> None:
    missing = why_no_sshd()
    if missing:
        skip_for_machine("trusting the key of a host", missing)
    with Sshd(tmp_path, alias="cluster.test") as sshd:
        sshd.known_hosts.write_text("")
        ssh = lab.home / ".ssh"
        ssh.mkdir(mode=0o700)
        (ssh / "config").write_text(sshd.config.read_text())
        document = {**SLURM_SSH, "name": "Behind SSH", "host": sshd.alias}
        fractal.resources.add(document)
        remote = {"jobs_remote_dir": str(tmp_path / "jobs"), "tasks_remote_dir": str(tmp_path)}
        key = {"username": sshd.user, "ssh_key_path": str(sshd.key)}
        profile = {"name": "As me", "resource_type": "slurm_ssh", **key, **remote}
        fractal.profiles.add(profile, resource="Behind SSH")
        editor = open_place(page, "As me")
        editor.get_by_role("button", name="Check").click()
        check = editor.get_by_role("region", name="Check")
        check.get_by_role("button", name="Trust this key…").first.click(timeout=60_000)
        asked = page.get_by_role("dialog")
        expect(asked).to_contain_text(sshd.fingerprint)
        assert sshd.known_hosts.read_text() == ""
        asked.get_by_role("button", name="It is the same").click()
        expect(check.get_by_role("button", name="Trust this key…")).to_have_count(0, timeout=60_000)
        assert sshd.public_host_key in sshd.known_hosts.read_text()
        fractal.profiles.remove("As me")
        fractal.resources.remove("Behind SSH")
        shutil.rmtree(ssh)


def test_files_of_an_administrator_that_cannot_be_used_are_told(
    page: Page, lab: RunningLab
) -> None:
    file = lab.home / ".jupyter" / "fractal" / "cluster" / "resource.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    page.reload()
    wait_for_lab(page)
    panel = show_panel(page)
    panel.get_by_text("1 file of the administrator cannot be used").click()
    expect(panel.get_by_role("group", name="What is wrong with them")).to_contain_text(str(file))
    shutil.rmtree(file.parents[1])


def test_what_was_not_tried_is_no_success(page: Page, fractal: Fractal) -> None:
    fractal.resources.add({**SLURM_SUDO, "name": "With sudo"})
    users = {"As somebody": "somebody-else", "As myself": current_user()}
    for name, user in users.items():
        profile = {"name": name, "resource_type": "slurm_sudo", "username": user}
        fractal.profiles.add(profile, resource="With sudo")
    done = {"status": "OK", "result": [WORKS, NOT_TRIED]}

    def answer(route: Route) -> None:
        known = {"cancel_requested": False, "error": None, "task_group_id": None, "ended": 2}
        about = {"id": 1, "action": "check", "subject": "x", "created": 1}
        route.fulfill(json={**about, **known, **done})

    # what a cluster would say; its own tests have a real one
    page.route("**/fractal/api/*/*/check*", answer)
    page.route("**/fractal/api/activities/1*", answer)
    for name in ("With sudo", "As somebody"):
        editor = open_place(page, name)
        editor.get_by_role("button", name="Check").click()
        check = editor.get_by_role("region", name="Check")
        expect(check.get_by_role("status")).to_have_text("all that was tried works")
        expect(check.get_by_text("worker: note")).to_have_attribute("data-tone", "soft")
        expect(check).to_contain_text("Choose a dataset above")
        expect(editor.get_by_label("Dataset to try a job in")).to_be_visible()
    assert not findings(page)
    # jobs of one's own need no folder of others
    editor = open_place(page, "As myself")
    editor.get_by_role("button", name="Check").click()
    expect(editor.get_by_role("region", name="Check")).to_contain_text("give one")
    expect(editor.get_by_label("Dataset to try a job in")).to_have_count(0)
    for name in users:
        fractal.profiles.remove(name)
    fractal.resources.remove("With sudo")


def test_versions_are_chosen(page: Page, shared: str) -> None:
    editor = open_place(page, shared)
    versions = editor.get_by_role("combobox", name="Name of a new entry of versions").first
    expect(versions.locator("option", has_text="3.11")).to_have_count(0)
    versions.select_option("3.9")
    editor.get_by_role("button", name="Add: versions").first.click()
    editor.get_by_label("3.9", exact=True).fill("/usr/bin/python3.9")
    text = editor.get_by_role("textbox", name="As JSON")
    expect(text).to_have_value(re.compile('"3.9": "/usr/bin/python3.9"'))
    assert text.evaluate("it => it.scrollWidth <= it.clientWidth")


def test_nothing_is_lost_by_accident(page: Page, fractal: Fractal, shared: str) -> None:
    editor = open_place(page, shared)
    name = editor.get_by_label("name (required)")
    name.fill(f"{shared} here")
    tab = page.locator(".lm-TabBar-tab", has_text=shared)
    expect(tab).to_have_class(re.compile("jp-mod-dirty"))
    tab.locator(".lm-TabBar-tabCloseIcon").click()
    page.get_by_role("button", name="Keep it open").click()
    expect(name).to_have_value(f"{shared} here")

    # changed by others meanwhile
    document = fractal.resources.get(shared).document
    fractal.resources.update(shared, {**document, "jobs_poll_interval": 7})
    expect(editor.get_by_role("alert").first).to_contain_text("changed elsewhere", timeout=10_000)
    expect(editor.get_by_role("button", name="Save")).to_be_disabled()
    editor.get_by_role("button", name="Take what is there").click()
    expect(name).to_have_value(shared)
    expect(editor.get_by_label("jobs poll interval")).to_have_value("7")
    # and again, when nothing was changed here: it just follows
    fractal.resources.update(shared, {**document, "jobs_poll_interval": 8})
    expect(editor.get_by_label("jobs poll interval")).to_have_value("8", timeout=10_000)

    name.fill(f"{shared} here")
    tab.locator(".lm-TabBar-tabCloseIcon").click()
    page.get_by_role("button", name="Close without saving").click()
    expect(tab).to_have_count(0)
    assert fractal.resources.get(shared).document["jobs_poll_interval"] == 8


def test_what_an_administrator_gave_is_read_only(page: Page, fractal: Fractal, shared: str) -> None:
    source = "/etc/jupyter/fractal/resources/shared.json"
    mine = resources.c.name == shared
    with fractal._store.database.write() as connection:
        connection.execute(sa.update(resources).where(mine).values(source=source))
    editor = open_place(page, shared)
    expect(editor).to_contain_text(f"in {source}; it is changed there")
    expect(editor.get_by_label("name (required)")).to_be_disabled()
    expect(editor.get_by_role("textbox", name="As JSON")).not_to_be_editable()
    expect(editor.get_by_role("button", name="Save")).to_have_count(0)
    expect(editor.get_by_role("button", name="Check")).to_be_enabled()
    with fractal._store.database.write() as connection:
        connection.execute(sa.update(resources).where(mine).values(source=None))


def test_a_cluster_is_described_with_its_own_fields(page: Page, fractal: Fractal) -> None:
    show_panel(page)
    page.evaluate("() => { jupyterapp.commands.execute('fractal:add-resource'); }")
    editor = view(page)
    editor.get_by_label("name (required)").fill("Far away")
    editor.get_by_role("combobox", name="Type").select_option("slurm_ssh")
    expect(editor.get_by_label("name (required)")).to_have_value("Far away")
    expect(editor.get_by_label("host (required)")).to_be_visible()
    text = editor.get_by_role("textbox", name="As JSON")
    # interpreters of this machine say nothing of a cluster
    assert json.loads(text.input_value())["tasks_python_config"] == {}
    text.fill(json.dumps({**SLURM_SSH, "name": "Far away"}))
    expect(editor.get_by_label("host (required)")).to_have_value(SLURM_SSH["host"])
    editor.get_by_role("button", name="Save").click()
    expect(editor.get_by_text("Saved.")).to_be_visible()
    assert fractal.resources.get("Far away").document == {**SLURM_SSH, "name": "Far away"}

    # a profile of it has other fields than one of this machine
    page.evaluate("() => { jupyterapp.commands.execute('fractal:add-profile'); }")
    editor = view(page)
    expect(editor.get_by_role("heading", level=1)).to_have_text("New profile")
    editor.get_by_label("name (required)").fill("Me there")
    editor.get_by_role("combobox", name="Resource").select_option(label="Far away (slurm_ssh)")
    expect(editor.get_by_label("ssh key path (required)")).to_be_visible()
    expect(editor.get_by_label("name (required)", exact=True)).to_have_value("Me there")
    expect(editor.get_by_role("button", name="Take what is there")).to_have_count(0)
    editor.get_by_role("button", name="Save").click()
    wrong = editor.locator(".fj-field", has=page.get_by_label("ssh key path (required)"))
    expect(wrong.locator(".fj-wrong")).to_contain_text("the field is required")
    fractal.resources.remove("Far away")
