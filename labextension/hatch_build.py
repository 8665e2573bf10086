"""Puts the JupyterLab extension into wheels, where it has been built (`make labextension`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = "labextension/dist"
INSTALLED = "share/jupyter/labextensions/fractal-jupyter"


class LabExtension(BuildHookInterface[Any]):
    """Adds what npm has built; the package is whole without it, but for the panel in JupyterLab."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files; an editable install gets a link to them from `make labextension`."""
        if version == "editable":
            return
        if (Path(self.root) / BUILT / "package.json").is_file():
            build_data["shared_data"][BUILT] = INSTALLED
        else:
            self.app.display_warning(
                "The JupyterLab extension is not built, so it is left out: `make labextension` "
                "builds it, which needs npm."
            )
