"""The SSH agent of a supervisor: one that answers, of whichever client has rung last.

A supervisor outlives the login that started it, and with that login its agent may go: that of a
forwarded connection always does. So clients say where theirs is when they ring.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

VARIABLE = "SSH_AUTH_SOCK"
# How a message begins that says where an agent is.
_MARK = b"a"
# An agent of this machine that takes longer is as good as none.
_PATIENCE_SECONDS = 1.0


def agent_message() -> bytes | None:
    """What to tell a supervisor of our agent; None if we have none."""
    path = os.environ.get(VARIABLE)
    return _MARK + os.fsencode(path) if path else None


def adopt_agent(messages: Iterable[bytes]) -> bool:
    """Use an agent that a client has told of, if ours is gone and that one is there.

    Returns:
        Whether there is another one now.
    """
    ours = os.environ.get(VARIABLE)
    told = {os.fsdecode(each[len(_MARK) :]) for each in messages if each.startswith(_MARK)}
    for path in sorted(told - {ours}):
        if (ours is None or not _answers(ours)) and _answers(path):
            os.environ[VARIABLE] = path
            return True
    return False


def _answers(path: str) -> bool:
    if not hasattr(socket, "AF_UNIX"):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PATIENCE_SECONDS)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
