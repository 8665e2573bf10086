"""How IPython shows what is made below the client, and so knows nothing of showing itself.

Nothing is imported for it: types are named, and their pages made when the first of them is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fractal_jupyter.display.page import Page
from fractal_jupyter.display.surroundings import running_shell


def register_formatters() -> None:
    """Teach the IPython shell that this code runs in, if it does, to show these types as HTML."""
    shell = running_shell()
    formatter = getattr(shell, "display_formatter", None)
    if formatter is None:
        return
    html = formatter.formatters["text/html"]
    for module, name, page in _PAGES:
        html.for_type_by_name(f"fractal_jupyter.{module}", name, _html_of(page))


def _html_of(page: Callable[[Any], Page]) -> Callable[[Any], str]:
    def html(thing: Any) -> str:
        from fractal_jupyter.display.render_html import to_html

        return to_html(page(thing))

    return html


def _image(thing: Any) -> Page:
    from fractal_jupyter.display.images import image_page

    return image_page(thing)


def _lock(thing: Any) -> Page:
    from fractal_jupyter.display.environments import lock_page

    return lock_page(thing)


def _step(thing: Any) -> Page:
    from fractal_jupyter.display.job import step_page

    return step_page(thing)


def _unit(thing: Any) -> Page:
    from fractal_jupyter.display.units import unit_page

    return unit_page(thing)


_PAGES: tuple[tuple[str, str, Callable[[Any], Page]], ...] = (
    ("models.images", "Image", _image),
    ("environments.lock", "Lock", _lock),
    ("store.records", "StepRecord", _step),
    ("store.records", "UnitRecord", _unit),
)
