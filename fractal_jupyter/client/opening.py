"""Widgets of objects of the client.

Widgets are built on the client, so the client cannot import them: it looks them up by name when
somebody asks for one. That also keeps ipywidgets out of what every notebook imports.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def open_widget(name: str, /, *args: Any, **kwargs: Any) -> Any:
    """Make what `fractal_jupyter.widgets` has under that name."""
    return getattr(import_module("fractal_jupyter.widgets"), name)(*args, **kwargs)
