"""What a programmer would write by hand: a pool of processes that calls the task's function.

python pool.py UNITS SIDE_BY_SIDE
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tasks"))

from import_ngio import import_only


def call(zarr_url):
    return import_only(zarr_url=zarr_url)


def main(units, side_by_side):
    urls = [f"/data/image-{unit}.zarr" for unit in range(units)]
    with ProcessPoolExecutor(side_by_side) as pool:
        list(pool.map(call, urls))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
