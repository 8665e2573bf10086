"""Makes the archive that is shipped to where units run. Used on this side only."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import lru_cache
from pathlib import Path

# The name of the package in the archive: not that of this one, which is more than the worker.
PACKAGE = "fractal_worker"
_MAIN = f"""import sys

from {PACKAGE}.__main__ import main

sys.exit(main(sys.argv[1:]))
"""
_SHEBANG = b"#!/usr/bin/env python3\n"


@lru_cache(maxsize=1)
def bundle() -> bytes:
    """Return the worker as a zip archive that Python runs: `python -I -S worker.pyz run FOLDER`.

    The same sources give the same bytes. Nothing in it is compressed, for Pythons without zlib.
    """
    here = Path(__file__)
    files = {
        f"{PACKAGE}/{path.name}": path.read_bytes()
        for path in sorted(here.parent.glob("*.py"))
        if path.name != here.name
    }
    files["__main__.py"] = _MAIN.encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as pyz:
        for name, content in sorted(files.items()):
            pyz.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return _SHEBANG + archive.getvalue()


@lru_cache(maxsize=1)
def bundle_digest() -> str:
    """The SHA-256 of the archive, as hexadecimal digits: a name for this version of it."""
    return hashlib.sha256(bundle()).hexdigest()
