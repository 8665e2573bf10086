"""Stands in for a worker: reports all units of its batch as done, as fast as it can.

Called as the worker is: `python swift_worker.py -I -S worker.pyz run BATCH_FOLDER`.
"""

import json
import os
import sys
import time
from pathlib import Path

from fractal_jupyter.worker.records import encode


def main() -> None:
    folder = Path(sys.argv[-1])
    units = json.loads((folder / "batch.json").read_text())["units"]
    attempt = folder / "attempt-1"
    attempt.mkdir()
    common = {"exit_code": 0, "signal": None, "problem": None, "message": "", "node": "here"}
    used = {"peak_memory": 123_456_789, "cpu_seconds": 0.123456, "log": [0, 0, 0], "log_dropped": 0}
    with (attempt / "results-0000").open("wb", buffering=0) as results:
        results.write(encode({"event": "attempt", "attempt": 1, "pid": os.getpid()}))
        for unit in units:
            index, url, now = unit["index"], unit["args"]["zarr_url"], time.time()
            update = {"zarr_url": url, "attributes": {"well": "B03", "channels": 4, "index": index}}
            start = {"event": "start", "unit": index, "slot": 0, "warm": True, "time": now}
            end = {"event": "end", "unit": index, "status": "done", "started": now, "ended": now}
            end |= {"output": {"image_list_updates": [update]}}
            results.write(encode(start) + encode({**end, **common, **used}))


if __name__ == "__main__":
    main()
