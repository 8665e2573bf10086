"""A store in which every name and text is hostile, and what must not be found where it is shown."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from fractal_jupyter import Fractal
from tests.labextension.tasks import SCRIPT
from tests.toy import add_task_group

MARKUP = (
    "\"'`></td></textarea><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"
)
LINE = f"{MARKUP} &lt; {{x}} ${{x}} \u202e\u2066\u200f {'long ' * 40}."
"""What may stand on one line: what a resource, a profile, a task or a workflow may be called."""

TEXT = f"{LINE}\x1b[2J\x1b]0;hacked\x07\x9b31m\r\n\u2028\x7f{LINE}"
"""What whatever comes from elsewhere may hold: paths, plates and wells, arguments, errors, logs."""

_UNSEEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f]"
)
FOREIGN_ON_PAGE = r"""() => {
  const unseen = new RegExp(
    '[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]'
  );
  const found = window.hacked ? ['a name has run'] : [];
  const tell = (what, each) =>
    found.push(`${JSON.stringify(what.slice(0, 200))} in ${each.tagName} ${each.className}`);
  for (const each of document.querySelectorAll('body *')) {
    for (const { name, value } of each.attributes) {
      if (/^on/.test(name) || (/^(title|aria-label)$/.test(name) && unseen.test(value)))
        tell(value, each);
    }
    if (each.matches('img[src=x], .fj-panel script, .fj-view script')) tell('made by a name', each);
    if (each.matches('script, style, textarea')) continue;
    for (const text of each.childNodes)
      if (text.nodeType === Node.TEXT_NODE && unseen.test(text.data)) tell(text.data, each);
  }
  return found;
}"""
"""Elements and attributes of a page that a name has made, and what steers a line where a person
reads it, as JavaScript. What stands in fields stays as it is."""

_TAGS = {
    *("a", "br", "button", "code", "col", "colgroup", "details", "div", "h1", "h2", "h3", "pre"),
    *("small", "span", "strong", "style", "summary", "table", "tbody", "td", "th", "thead", "tr"),
    "wbr",
}
_ATTRIBUTES = {"class", "style", "title", "colspan", "role", "tabindex", "href", "target", "rel"}


def make_hostile(fractal: Fractal, folder: Path) -> None:
    """Give everything that has a name a hostile one; the last job fails for a hostile reason."""
    old = fractal.resources.get("Local resource").document
    fractal.resources.add({**old, "name": LINE})
    fractal.profiles.add({"name": LINE, "resource_type": "local"}, resource=LINE)
    fractal.use(LINE)
    _add_task(fractal, folder)
    dataset = fractal.datasets.create(TEXT, zarr_dir=f"/data/{MARKUP}")
    dataset.add_images(
        [
            {
                "zarr_url": f"/data/{MARKUP}/{position}/{TEXT}",
                "attributes": {"plate": TEXT, "well": TEXT, TEXT: TEXT},
                "types": {TEXT: True},
            }
            for position in range(3)
        ]
    )
    steps = [{"task": LINE, "args": {"say": TEXT}}, {"task": LINE, "args": {"needs": TEXT}}]
    workflow = fractal.workflows.create(LINE, steps=steps)
    fractal.submit(workflow, dataset, name=TEXT).wait(120)


def _add_task(fractal: Fractal, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "task.py").write_text(SCRIPT)
    properties = {
        name: {"type": "string", "title": TEXT, "description": TEXT, "examples": [TEXT]}
        for name in ("say", "needs", TEXT)
    }
    choice = {"enum": [TEXT, "other"], "default": TEXT, "title": TEXT, "description": TEXT}
    schema = {
        "type": "object",
        "description": TEXT,
        "properties": {"zarr_url": {"type": "string"}, **properties, "choice": choice},
        "required": ["zarr_url"],
    }
    task = {
        "name": LINE,
        "type": "parallel",
        "executable_parallel": "task.py",
        "args_schema_parallel": schema,
        "category": TEXT,
        "modality": TEXT,
        "tags": [TEXT],
        "docs_info": TEXT,
        "docs_link": "https://example.org/?'\"><img/src=x/onerror=window.hacked=1>",
        "authors": TEXT,
    }
    add_task_group(
        fractal._store, [task], package=LINE, version=LINE, folder=str(folder), resource=LINE
    )


class _Parsed(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS:
            self.wrong.append(f"<{tag}>")
        for name, value in attrs:
            if name not in _ATTRIBUTES or "javascript:" in (value or ""):
                self.wrong.append(f"{name}={value!r}")
            self.wrong += unseen(value or "")

    def handle_data(self, data: str) -> None:
        self.wrong += unseen(data)


def foreign(markup: str) -> list[str]:
    """What in HTML is none of ours, or changes what is around it without being seen."""
    parsed = _Parsed()
    parsed.feed(markup)
    parsed.close()
    return parsed.wrong


def unseen(text: str) -> list[str]:
    """What steers a terminal, or changes the direction of text."""
    return list(map(repr, _UNSEEN.findall(text)))
