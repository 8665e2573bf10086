"""Everything that the pages show is so; see `tests.docs.pages` for how they say it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, Page, matches, read_page, read_pages
from tests.docs.run_examples import ARROW
from tests.docs.stores import page_home, store_in

RUNNER = Path(__file__).with_name("run_examples.py")
PAGES = [page for page in read_pages() if page.examples(slow=True)]
QUICK = [page for page in PAGES if page.examples(slow=False)]
SLOW = [page for page in PAGES if page.examples(slow=True) != page.examples(slow=False)]
LONGEST_SECONDS = 1200


def run_page(page: Page, home: Path, *, slow: bool) -> None:
    """Run the examples of a page; fail with all that is not as the page says."""
    examples = page.examples(slow=slow)
    given, found = home / "examples.json", home / "results.json"
    given.write_text(json.dumps([block.source for block in examples]), "utf-8")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FRACTAL_", "PYTEST_"))}
    environment = {
        **kept,
        "HOME": str(home),
        "JUPYTER_DATA_DIR": str(store_in(home).parents[1]),
        "IPYTHONDIR": str(home / "ipython"),
        "COLUMNS": "101",
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
    }
    ran = subprocess.run(
        [sys.executable, str(RUNNER), str(given), str(found)],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert found.exists(), f"{page.name} could not be run:\n{ran.stdout}\n{ran.stderr}"
    results = json.loads(found.read_text("utf-8"))
    wrong = [
        f"{page.name}:{problem}"
        for block, result in zip(examples, results, strict=True)
        for problem in problems(block, result)
    ]
    if wrong:
        pytest.fail("\n\n".join(wrong), pytrace=False)


def problems(block: Block, result: dict[str, object]) -> list[str]:
    """What a block did not do as the page says."""
    wrong = []
    arrows = result["arrows"]
    assert isinstance(arrows, list)
    for arrow in arrows:
        if not matches(arrow["expected"], arrow["found"]):
            line = block.line + arrow["line"] - 1
            wrong.append(f"{line} says {arrow['expected']} and it is {arrow['found']}")
    if result["traceback"] and block.shows is None:
        wrong.append(f"{block.line} fails:\n{result['traceback']}")
    elif block.shows is not None and not matches(block.shows, str(result["output"])):
        failed = f"\n{result['traceback']}" if result["traceback"] else ""
        wrong.append(
            f"{block.line} says that it shows\n{block.shows}\nand it shows\n"
            f"{result['output']}{failed}"
        )
    return wrong


@pytest.mark.parametrize("page", QUICK, ids=lambda page: page.name)
def test_examples(page: Page, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with page_home(page.store, tmp_path, tmp_path_factory) as home:
        run_page(page, home, slow=False)


@pytest.mark.long
@pytest.mark.timeout(LONGEST_SECONDS)
@pytest.mark.parametrize("page", SLOW, ids=lambda page: page.name)
def test_slow_examples(
    page: Page, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with page_home(page.store, tmp_path, tmp_path_factory, slow=True) as home:
        run_page(page, home, slow=True)


# How pages are read

SAMPLE = f"""<!-- store: toys -->
# Title

```python
print("one")
1 + 1  {ARROW}2
```

```text
one
```

<!-- run: slow -->
```python
raise KeyError
```

Words, and a list:

- item

  ```python
  if True:
      x = 1
  ```

  ```json
  {{}}
  ```
"""


def test_a_page_is_read() -> None:
    page = read_page("sample.md", SAMPLE)
    assert page.store == "toys"
    languages = [block.language for block in page.blocks]
    assert languages == ["python", "text", "python", "python", "json"]
    first, second, third = page.examples(slow=True)
    assert (first.line, first.shows, first.slow) == (5, "one", False)
    assert (second.slow, second.shows) == (True, None)
    assert third.source == "if True:\n    x = 1"
    assert page.examples(slow=False) == [first, third]


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("a\nb\n", "a  \nb", True),
        ("a…c", "abc", True),
        ("a…c", "ab\nc", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nd", True),
        ("a.c", "abc", False),
        ("a  b", "a      b", True),
        ("a  b", "a b", False),
        ("    a", "  a", True),
    ],
)
def test_texts_are_compared(expected: str, found: str, same: bool) -> None:
    assert matches(expected, found) is same


def test_what_is_wrong_is_found(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = (
        f'# Title\n```python\nprint("one")\n1 + 1  {ARROW}3\n"two"\n```\n\n```text\none\ntwo\n```\n'
        '```python\n1 / 0\n```\n```python\nopen("no such file")\n```\n'
        f"```text\nFileNotFoundError: …\n```\n```python\nprint(1)\nprint(2)  {ARROW}2\n```\n"
    )
    page = read_page("wrong.md", text)
    with (
        page_home("new", tmp_path, tmp_path_factory) as home,
        pytest.raises(pytest.fail.Exception) as caught,
    ):
        run_page(page, home, slow=True)
    first, second, third = str(caught.value).split("\n\nwrong.md:")
    assert first == "wrong.md:4 says 3 and it is 2"
    assert second.startswith("3 says that it shows\none\ntwo\nand it shows\none\n'two'\n")
    assert third.startswith("13 fails:")
    assert third.rstrip().endswith("ZeroDivisionError: division by zero")
