"""What is installed in the environment of the interpreter that runs this: the parts of a lock."""

from __future__ import annotations

import csv
import hashlib
import json
import platform
import re
from importlib import metadata
from typing import Any

from .exact import archive_hashes, normal
from .tools import platform_name

# What an installer adds, and differs between two installations of the same archive: bytecode,
# programs (their first line names the interpreter), and what is known of the archive itself.
_ADDED = re.compile(
    r".*\.pyc|(?:\.\./)+(?:bin|Scripts)/.*|[^/]+\.dist-info/(?!entry_points\.txt).*"
)


def lock() -> dict[str, Any]:
    """Return the lock of this environment; hashes of what comes from an index are not known."""
    found: dict[str, dict[str, Any]] = {}
    for distribution in metadata.distributions():
        # Broken ones have no name. Of two with one name, the first one is imported.
        if distribution.metadata["Name"] and normal(distribution.metadata["Name"]) not in found:
            found[normal(distribution.metadata["Name"])] = describe(distribution)
    return {
        "python": platform.python_version(),
        "platform": platform_name(),
        "distributions": [found[name] for name in sorted(found)],
        "pixi": None,
    }


def describe(distribution: metadata.Distribution) -> dict[str, Any]:
    """Return the document of a distribution."""
    direct = _direct_url(distribution)
    editable = bool((direct.get("dir_info") or {}).get("editable"))
    return {
        "name": distribution.metadata["Name"],
        "version": distribution.version,
        "hashes": archive_hashes(direct.get("archive_info") or {}),
        "content": None if editable else content(distribution.read_text("RECORD")),
        "url": _url(direct),
        "editable": editable,
    }


def content(record: str | None) -> str | None:
    """Return the digest of what a distribution consists of, from its RECORD; None without one."""
    if record is None:
        return None
    rows = [row for row in csv.reader(record.splitlines()) if row and not _ADDED.match(row[0])]
    files = sorted(f"{row[0]} {row[1] if len(row) > 1 else ''}" for row in rows)
    return "sha256:" + hashlib.sha256("\n".join(files).encode()).hexdigest()


def _direct_url(distribution: metadata.Distribution) -> dict[str, Any]:
    """Return where a distribution comes from, if that is no index (PEP 610)."""
    try:
        direct = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return direct if isinstance(direct, dict) and isinstance(direct.get("url"), str) else {}


def _url(direct: dict[str, Any]) -> str | None:
    """Return the URL that a requirement has for it."""
    if not direct:
        return None
    url, inside = str(direct["url"]), direct.get("subdirectory")
    repository = direct.get("vcs_info") or {}
    if repository:
        url = f"{repository['vcs']}+{url}@{repository['commit_id']}"
    return f"{url}#subdirectory={inside}" if inside else url
