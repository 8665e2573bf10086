"""A task that does nothing."""

from command_line import run


def noop(*, zarr_url):
    return None


if __name__ == "__main__":
    run(noop)
