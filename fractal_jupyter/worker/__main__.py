"""Commands of the worker.

    python -I -S worker.pyz run BATCH_FOLDER    run a batch
    python -I -S worker.pyz scan FOLDER         print the images below a folder, as JSON

Exit status of `run`: 0 when every unit has a result, 66 when the batch cannot be read, 74 when
results cannot be written, 75 when a later attempt has taken over, 128 and the number of the signal
when it was told to end.
"""

from __future__ import annotations

import sys
import time
from typing import List

from .batch import BatchError, read_batch

FINISHED, USAGE, NO_BATCH, CANNOT_WRITE, SUPERSEDED = 0, 64, 66, 74, 75


def main(argv: List[str]) -> int:
    """Run a command; return the exit status."""
    if len(argv) == 2 and argv[0] == "run":
        return run(argv[1])
    if argv[:1] == ["scan"]:
        from . import scan

        return scan.main(argv[1:])
    sys.stderr.write("Usage: worker.pyz run BATCH_FOLDER | scan FOLDER\n")
    return USAGE


def run(folder: str) -> int:
    """Run the batch in a folder."""
    if sys.platform == "win32":
        sys.stderr.write("Units do not run on Windows; submit to a machine with Linux or macOS.\n")
        return USAGE
    try:
        return _run(folder)
    except BatchError as error:
        sys.stderr.write("%s\n" % error)
        return NO_BATCH
    except OSError as error:
        where = " (%s)" % error.filename if error.filename else ""
        sys.stderr.write(
            "The worker cannot write its results and has stopped: %s%s. Mend that and retry: "
            "units without a result will be run.\n" % (error.strerror, where)
        )
        return CANNOT_WRITE


def _run(folder: str) -> int:
    import os

    from . import linux, processes, report
    from .claim import Attempt
    from .journal import Journal
    from .loop import Loop
    from .segments import Segments
    from .signals import Signals
    from .takeover import Vigil, take_over

    processes.prepare()
    signals = Signals()
    linux.adopt_orphans()
    folder = os.path.abspath(folder)
    batch = read_batch(folder)
    attempt = Attempt(folder)
    journal = Journal(attempt.folder, notify=batch.notify)
    logs = Segments(attempt.folder, "log")
    journal.record(event="attempt", **report.attempt(attempt.number))
    vigil = Vigil(attempt, journal=journal, signals=signals, interval=batch.heartbeat_interval)
    plan = take_over(batch, attempt, journal=journal, signals=signals, vigil=vigil)
    if plan.units and not vigil.stopped:
        Loop(
            batch,
            plan,
            folder=attempt.folder,
            journal=journal,
            logs=logs,
            signals=signals,
            vigil=vigil,
        ).run()
    journal.record(event="finished", status=vigil.stopped or "finished", time=time.time())
    logs.sync()
    journal.close()
    if vigil.stopped == "cancelled":
        return 128 + (signals.asked_to_end or 0)
    return SUPERSEDED if vigil.stopped else FINISHED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
