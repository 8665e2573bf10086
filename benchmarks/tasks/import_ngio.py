"""A task that imports ngio and does nothing with it."""

import ngio  # noqa: F401
from command_line import run


def import_only(*, zarr_url):
    return None


if __name__ == "__main__":
    run(import_only)
