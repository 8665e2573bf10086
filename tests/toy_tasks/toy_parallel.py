"""A unit that does what its argument `behaviour` says, if its image's URL ends with `only`."""

import json
import os
import signal
import sys
import time

from toy import run


def wait_for(gate):
    """Wait until the file `gate` exists, having said that we wait by making `gate`.waiting."""
    with open(f"{gate}.{os.getpid()}.waiting", "w"):
        pass
    while not os.path.exists(gate):
        time.sleep(0.01)


def behave(behaviour, seconds, gate):
    if gate:
        wait_for(gate)
    if seconds:
        time.sleep(seconds)
    if behaviour == "environment":
        print(json.dumps(dict(os.environ)))
    if behaviour == "raise":
        raise ValueError("the toy is broken")
    if behaviour == "exit":
        sys.exit(3)
    if behaviour == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if behaviour == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour in ("memory", "much memory"):
        block = bytearray(400_000_000)
        block[::4096] = b"x" * len(block[::4096])
        time.sleep(60 if behaviour == "memory" else 0)
    if behaviour == "forever":
        while True:
            time.sleep(1)
    if behaviour == "chatty":
        line = "x" * 999 + "\n"
        for _ in range(100_000):
            sys.stdout.write(line)


def half_a_json():
    path = sys.argv[sys.argv.index("--out-json") + 1]
    with open(path, "w") as file:
        file.write('{"image_list_updates": [{"zarr_url": "/da')
    sys.stdout.flush()
    os._exit(0)


def main(*, zarr_url, behaviour="ok", only="", seconds=0, gate=""):
    print(f"working on {zarr_url}")
    if not zarr_url.endswith(only):
        return None
    behave(behaviour, seconds, gate)
    if behaviour == "silent":
        sys.stdout.flush()
        os._exit(0)
    if behaviour == "half":
        half_a_json()
    if behaviour == "nonsense":
        return {"images": 3}
    return None


if __name__ == "__main__":
    run(main)
