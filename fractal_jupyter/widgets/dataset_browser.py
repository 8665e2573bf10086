"""The image list of a dataset, a page at a time, by attributes and types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets

from fractal_jupyter.client.datasets import Dataset
from fractal_jupyter.display.page import Cell, Column, Page, Span, Table, cell
from fractal_jupyter.display.render_html import to_html
from fractal_jupyter.display.words import below, counted, number, value_text
from fractal_jupyter.engine.filters import select
from fractal_jupyter.models.images import Image
from fractal_jupyter.printable import printable
from fractal_jupyter.widgets.source import python_source
from fractal_jupyter.widgets.tool import Tool, button, html, row, safely, say, show, with_class

PER_PAGE = 20
MOST_VALUES = 500


class DatasetBrowser(Tool):
    """Shows the images of a dataset.

    The list is read once, and again with `refresh`: of 100,000 images this takes a second or two,
    so it is done on a thread of its own.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        self._dataset = dataset
        self._images: Sequence[Image] = ()
        self._shown: Sequence[Image] = ()
        self._page = 0
        self._facets: dict[str, Any] = {}
        self._known: dict[str, list[Any]] = {}
        self._filters = with_class(row(), "field")
        self._search = ipywidgets.Text(
            description="Path contains",
            continuous_update=False,
            style={"description_width": "initial"},
        )
        self._search.observe(self._filtered, "value")
        self._picture = html()
        self._code = html()
        self._where = html()
        self._first = button("First", lambda: self._turn_to(0), tip="First page")
        self._back = button("Back", lambda: self._turn_to(self._page - 1), tip="Page before")
        self._on = button("Further", lambda: self._turn_to(self._page + 1), tip="Next page")
        self._last = button("Last", lambda: self._turn_to(self._pages() - 1), tip="Last page")
        self._again = button("Refresh", self.refresh, tip="Read the list again")
        self.compose(
            self._filters,
            self._picture,
            row(self._first, self._back, self._on, self._last, self._again, self._where),
            self._code,
        )
        self.refresh()

    @property
    def selected(self) -> Sequence[Image]:
        """All images that pass the filters."""
        return self._shown

    def attribute_filters(self) -> dict[str, list[Any]]:
        """The filters by attribute, as `Fractal.submit` takes them."""
        return {
            name: [self._known[name][chosen]]
            for kind, name, chosen in self._chosen()
            if kind == "attribute"
        }

    def type_filters(self) -> dict[str, bool]:
        """The filters by type, as `Fractal.submit` takes them."""
        return {name: bool(chosen) for kind, name, chosen in self._chosen() if kind == "type"}

    @safely
    def refresh(self) -> None:
        """Read the list again."""
        self.run(self._read, self._take, button=self._again, busy="Reading …")

    def page(self) -> str:
        """The beginning and the end of the list, as HTML."""
        return self._dataset._repr_html_()

    def __repr__(self) -> str:
        return f"<DatasetBrowser of {self._dataset.name!r}>"

    def _read(self) -> tuple[Sequence[Image], dict[str, list[Any]], list[str]]:
        images = self._dataset.images[:]
        values: dict[str, dict[Any, Any]] = {}
        types: dict[str, None] = {}
        for image in images:
            for name, value in image.attributes.items():
                values.setdefault(name, {})[(type(value).__name__, value)] = value
            types.update(dict.fromkeys(image.types))
        found = {
            name: sorted(known.values(), key=lambda value: (str(type(value)), value))
            for name, known in values.items()
            if len(known) <= MOST_VALUES
        }
        return images, found, list(types)

    def _take(self, read: tuple[Sequence[Image], dict[str, list[Any]], list[str]]) -> None:
        self._images, values, types = read
        kept = {key: box.label for key, box in self._facets.items()}
        self._facets = {
            **{
                f"attribute {name}": _facet(name, [(value_text(v, 40), n) for n, v in enumerate(v)])
                for name, v in values.items()
            },
            **{f"type {name}": _facet(name, [("yes", 1), ("no", 0)]) for name in types},
        }
        self._known = values
        for key, box in self._facets.items():
            labels = [label for label, _ in box.options]
            if kept.get(key) in labels:
                box.label = kept[key]
            box.observe(self._filtered, "value")
        self._filters.children = (*self._facets.values(), self._search)
        self._apply()

    def _chosen(self) -> list[tuple[str, str, int]]:
        chosen = ((*key.split(" ", 1), box.value) for key, box in self._facets.items())
        return [(kind, name, value) for kind, name, value in chosen if value >= 0]

    @safely
    def _filtered(self, _: Mapping[str, Any]) -> None:
        self._apply()

    def _apply(self) -> None:
        attributes, types = self.attribute_filters(), self.type_filters()
        found = select(self._images, type_filter=types, attribute_filters=attributes)
        text = self._search.value
        self._shown = [image for image in found if text in image.zarr_url] if text else found
        self._page = 0
        self._draw()
        filters = {"attribute_filters": attributes, "type_filters": types}
        lines = [f"{name}={python_source(value)}" for name, value in filters.items() if value]
        heading = "# for fractal.submit: the filters, of which the path is none\n"
        say(self._code, heading + ",\n".join(lines) if lines else "", look="code")

    def _pages(self) -> int:
        return max(1, -(-len(self._shown) // PER_PAGE))

    @safely
    def _turn_to(self, page: int) -> None:
        self._page = min(max(page, 0), self._pages() - 1)
        self._draw()

    def _draw(self) -> None:
        first = self._page * PER_PAGE
        images = self._shown[first : first + PER_PAGE]
        show(self._picture, to_html(self._table(images, first)))
        about = f"{number(first + 1)} to {number(first + len(images))}"
        say(self._where, f"{about}, page {number(self._page + 1)} of {number(self._pages())}")
        at_start, at_end = self._page == 0, self._page >= self._pages() - 1
        self._first.disabled = self._back.disabled = at_start
        self._on.disabled = self._last.disabled = at_end

    def _table(self, images: Sequence[Image], first: int) -> Page:
        keys = [key.split(" ", 1) for key in self._facets]
        total, shown = len(self._images), len(self._shown)
        of = "" if shown == total else f"{number(shown)} of "
        return Page(
            title=f"{of}{counted(total, 'image')}",
            facts=(Span(f"dataset {self._dataset.name}"), Span(self._dataset.zarr_dir, "", "path")),
            blocks=(
                Table(
                    columns=(
                        Column(right=True),
                        Column(title="Image", grows=True),
                        *(Column(title=name) for _, name in keys),
                    ),
                    rows=tuple(
                        (
                            cell(number(position), tone="soft"),
                            cell(below(image.zarr_url, self._dataset.zarr_dir), look="path"),
                            *(_cell(image, kind, name) for kind, name in keys),
                        )
                        for position, image in enumerate(images, start=first + 1)
                    ),
                    empty="No image passes the filters." if self._images else "No images yet.",
                ),
            ),
        )


def _cell(image: Image, kind: str, name: str) -> Cell:
    value = (image.attributes if kind == "attribute" else image.types).get(name)
    if kind == "type" and value is not None:
        return cell("yes" if value else "no", tone="good" if value else "soft")
    return cell() if value is None else cell(value_text(value, 60))


def _facet(name: str, options: list[tuple[str, int]]) -> Any:
    return ipywidgets.Dropdown(
        options=[("any", -1), *((printable(label), position) for label, position in options)],
        value=-1,
        description=printable(name),
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width="auto", max_width="220px"),
    )
