"""Names under which hosts put folders aside: while they remove them, or before they are complete.

Whoever is killed at the wrong moment leaves one behind, so there is one place that knows how to
make them, and how to know them again.
"""

from __future__ import annotations

import secrets

__all__ = ["PATTERN", "new_draft", "new_removed"]

# All that `new_draft` and `new_removed` give, and nothing that anybody would call a folder.
PATTERN = r"\.[0-9a-f]{16}\.(?:removed|part)"


def new_removed() -> str:
    """Return another name for a folder that is being removed: nothing is added to it any more."""
    return f".{secrets.token_hex(8)}.removed"


def new_draft() -> str:
    """Return a name for a folder of files that are not complete yet."""
    return f".{secrets.token_hex(8)}.part"
