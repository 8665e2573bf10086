"""Links between pages lead somewhere, and every page can be found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Page, prose, read_pages

PAGES = read_pages()
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def anchors(path: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def links(page: Page) -> list[str]:
    """The targets of all links of a page."""
    return _LINK.findall(prose(page.text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Page) -> None:
    folder = (ROOT / page.name).parent
    for target in links(page):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (folder / name).resolve() if name else ROOT / page.name
        assert path.exists(), f"{page.name} links to {target}"
        assert path.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(path), f"{page.name} links to {target}"


def test_the_readme_links_to_every_page() -> None:
    readme, *others = PAGES
    assert {page.name for page in others} <= set(links(readme))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_say_what_they_are(page: Page) -> None:
    """A picture made of letters has no language; `text` is what an example shows, `py` not run."""
    assert {block.language for block in page.blocks} <= {"python", "py", "text", "json", "sh", ""}
    outputs = [block.source for block in page.blocks if block.language == "text"]
    assert outputs == [block.shows for block in page.blocks if block.shows is not None]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_one_title(page: Page) -> None:
    titles = re.findall(r"^# (.+)$", prose(page.text), re.MULTILINE)
    assert len(titles) == 1
