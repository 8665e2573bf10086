"""The document of a form as JSON that may be edited."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets

from fractal_jupyter.widgets.schema import JsonObject
from fractal_jupyter.widgets.tool import html, say, with_class


class JsonView:
    """Shows a document as JSON, and takes what a person makes of it.

    Args:
        entered: Called with the document that a person has written.
    """

    def __init__(self, entered: Callable[[JsonObject], object]) -> None:
        self._entered = entered
        self._text = "{}"
        self._problem = html(look="bad")
        self.area = ipywidgets.Textarea(
            description="JSON",
            tooltip="The document; may be edited",
            continuous_update=False,
            rows=12,
            style={"description_width": "initial"},
            layout=ipywidgets.Layout(width="auto"),
        )
        self.area.observe(self._edited, "value")
        self.widget = with_class(ipywidgets.VBox([self.area, self._problem]), "field", "json")

    def show(self, document: JsonObject) -> None:
        """Show another document."""
        self._text = json.dumps(document, indent=2, ensure_ascii=False)
        self.area.rows = min(max(self._text.count("\n") + 2, 5), 24)
        self.area.value = self._text
        say(self._problem, "")

    def _edited(self, change: Mapping[str, Any]) -> None:
        if change["new"] == self._text:
            return
        try:
            document = json.loads(change["new"])
        except ValueError as error:
            say(self._problem, f"This is no JSON: {error}", look="bad")
            return
        if not isinstance(document, dict):
            say(self._problem, "This is no JSON object: { … }", look="bad")
            return
        self._entered(document)
