"""Reading JSON files of an administrator.

Quickly, since most files are as they were the last time: what checks documents takes long to
import, and says in words what is wrong with one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from fractal_jupyter.models.problems import Problem


def read_object(path: Path, noun: str) -> dict[str, Any]:
    """The object in a file.

    Raises:
        InvalidDocument: There is none; names the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        content = None
    return content if isinstance(content, dict) else look_closely(path, noun)


def look_closely(path: Path, noun: str) -> dict[str, Any]:
    """The same, with what `read_object` lets pass (a name that is given twice) refused as well."""
    from fractal_jupyter.models.documents import read_document

    return read_document(path, noun=noun)


def refuse(path: Path, noun: str, problems: Sequence[Problem]) -> NoReturn:
    """Raise `InvalidDocument` with what is wrong with the content of a file."""
    from fractal_jupyter.models.documents import invalid

    raise invalid(f"The {noun} in {path}", problems) from None
