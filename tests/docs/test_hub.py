"""What `docs/jupyterhub.md` tells an administrator to write can be written so."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from pathlib import Path

import pytest
from traitlets.config import Config

from fractal_jupyter import Fractal
from tests.docs.pages import Page, read_pages
from tests.docs.stores import hub_files
from tests.slurm.fixtures import skip_for_machine


@pytest.fixture(scope="module")
def page() -> Page:
    return next(page for page in read_pages() if page.name == "docs/jupyterhub.md")


def test_all_documents_can_be_used(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = hub_files()
    assert len(files) == len([block for block in page.blocks if block.language == "json"])
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path / "etc" / "jupyter"))
    monkeypatch.setenv("JUPYTERHUB_USER", "bob")
    fractal = Fractal(f"sqlite:///{tmp_path}/store/fractal.db")
    users = {p.name: p.document["username"] for p in fractal.profiles.list()}
    assert users == {"Cluster": "bob", "Institute": "bjones", "Remote cluster": "bjones"}
    fractal.close()


def test_sudo_understands_the_sudoers(page: Page, tmp_path: Path) -> None:
    visudo = shutil.which("visudo", path="/usr/sbin:/usr/bin")
    if visudo is None:
        skip_for_machine("the sudoers of the hub", "no visudo")
    (block,) = (block for block in page.blocks if "NOPASSWD" in block.source)
    file = tmp_path / "fractal"
    file.write_text(f"{block.source}\n")
    subprocess.run([visudo, "--check", "--strict", f"--file={file}"], check=True)


def test_settings_of_the_hub_exist(page: Page) -> None:
    (block,) = (block for block in page.blocks if block.source.startswith("c."))
    config = Config()
    exec(block.source, {"c": config})
    modules = {"JupyterHub": "jupyterhub.app", "Spawner": "jupyterhub.spawner"}
    assert config
    for name, settings in config.items():
        known = getattr(importlib.import_module(modules[name]), name).class_traits(config=True)
        assert set(settings) <= set(known)
