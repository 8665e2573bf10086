"""The supervisor's process; started by `fractal_jupyter.runner.launch`, never by hand."""

from __future__ import annotations

import gc
import logging
import logging.handlers
import os
import sys

from fractal_jupyter.models.bulk import collector_paused

LOG_BYTES = 5_000_000


def main() -> int:
    """Run the supervisor of the store named in the environment."""
    # Somebody waits for it: a third of the time of importing is the collector's, for nothing.
    with collector_paused():
        from fractal_jupyter.runner.launch import IDLE_VARIABLE, LOG_VARIABLE, STORE_VARIABLE
        from fractal_jupyter.runner.supervisor import IDLE_SECONDS, run_supervisor
        from fractal_jupyter.runner.users import current_user
    gc.freeze()
    handler: logging.Handler = logging.StreamHandler()
    path = os.environ.pop(LOG_VARIABLE, None)
    if path:
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1)
    logging.basicConfig(
        level=logging.INFO,
        handlers=[handler],
        format="%(asctime)s %(process)d %(levelname)s %(message)s",
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    url = os.environ.pop(STORE_VARIABLE)
    idle = float(os.environ.pop(IDLE_VARIABLE, IDLE_SECONDS))
    try:
        run_supervisor(url, current_user(), idle_seconds=idle)
    except Exception:
        logging.getLogger(__name__).exception("the supervisor failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
