"""What a programmer would write by hand: submitit, with a job for each unit or a pool in a few.

    python submitit_map.py FOLDER MODULE:FUNCTION CHUNKS PROCESSES MEM_MB < URLS

With no CHUNKS, each URL is an element of one job array; otherwise each of so many elements has a
pool of PROCESSES for its share of the URLs. Needs submitit and this file on PYTHONPATH. Prints,
as JSON, when it began and when each result was there.
"""

import importlib
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import submitit


def call(target, url):
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)(zarr_url=url)


def call_all(target, urls, processes):
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(call, [target] * len(urls), urls))


def main(folder, target, chunks, processes, mem_mb):
    urls = sys.stdin.read().split()
    began = time.time()
    executor = submitit.AutoExecutor(folder, cluster="slurm")
    executor.update_parameters(
        timeout_min=60, cpus_per_task=processes if chunks else 1, slurm_mem=f"{mem_mb}MB"
    )
    if chunks:
        parts = [urls[start::chunks] for start in range(chunks)]
        count = len(parts)
        jobs = executor.map_array(call_all, [target] * count, parts, [processes] * count)
    else:
        jobs = executor.map_array(call, [target] * len(urls), urls)
    results = [job.paths.result_pickle for job in jobs]
    # job.result() itself looks once a second only
    waiting = set(results)
    while waiting:
        time.sleep(0.05)
        waiting = {path for path in waiting if not path.exists()}
    for job in jobs:
        job.result()
    print(json.dumps({"began": began, "ends": [os.stat(path).st_mtime for path in results]}))


if __name__ == "__main__":
    # What is sent to a pool has to be found in a module.
    from submitit_map import main

    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
