"""The process that does one activity; started by `process.start`, never by hand."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType

from fractal_jupyter.models.bulk import collector_paused


class _Stopped(BaseException):
    """Somebody wants this process to end."""


def main() -> int:
    """Do the activity named in the environment."""
    with collector_paused():
        from fractal_jupyter.runner.activities.actions import perform
        from fractal_jupyter.runner.activities.process import ID_VARIABLE, STORE_VARIABLE
        from fractal_jupyter.store.store import Store
    gc.freeze()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    store = Store(os.environ.pop(STORE_VARIABLE))
    try:
        perform(store, int(os.environ.pop(ID_VARIABLE)))
    except _Stopped:
        return 128 + signal.SIGTERM
    finally:
        store.close()
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


if __name__ == "__main__":
    sys.exit(main())
