"""What a programmer would write by hand: one `sbatch`, and in each element a process for a unit.

    python sbatch_array.py FOLDER SCRIPT MEM_MB < URLS

Each process is that of the Fractal task SCRIPT, run by this interpreter. Prints, as JSON, when it
began and when the output of each unit was there.
"""

import json
import os
import shlex
import subprocess
import sys
import time


def main(folder, script, mem_mb):
    urls = sys.stdin.read().split()
    began = time.time()
    for number, url in enumerate(urls):
        with open(f"{folder}/{number}.args.json", "w") as file:
            json.dump({"zarr_url": url}, file)
    unit = f"{shlex.quote(folder)}/$SLURM_ARRAY_TASK_ID"
    text = f"""#!/bin/sh
#SBATCH --array=0-{len(urls) - 1}
#SBATCH --cpus-per-task=1
#SBATCH --mem={mem_mb}M
#SBATCH --output={folder}/%a.log
exec {sys.executable} {shlex.quote(script)} --args-json {unit}.args.json --out-json {unit}.out.json
"""
    subprocess.run(["sbatch", "--parsable"], input=text, text=True, check=True, stdout=sys.stderr)
    outputs = [f"{folder}/{number}.out.json" for number in range(len(urls))]
    waiting = set(outputs)
    while waiting:
        time.sleep(0.05)
        waiting = {path for path in waiting if not os.path.exists(path)}
    print(json.dumps({"began": began, "ends": [os.stat(path).st_mtime for path in outputs]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
