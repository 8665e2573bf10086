"""A task that waits."""

import time

from command_line import run


def sleep(*, zarr_url, seconds):
    time.sleep(seconds)


if __name__ == "__main__":
    run(sleep)
