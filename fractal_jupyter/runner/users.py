"""Who we are on this machine."""

from __future__ import annotations

import getpass
import os


def current_user() -> str:
    """The name of the user that this process runs as, whatever the environment claims."""
    try:
        import pwd
    except ImportError:  # Windows
        return getpass.getuser()
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container with a uid that has no name
        return f"uid-{os.geteuid()}"
