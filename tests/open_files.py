"""Files that this process has open."""

from pathlib import Path


def open_files(folder: Path) -> list[str]:
    """Those below a folder."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except OSError:  # that of this listing
            continue
    return [path for path in found if path.startswith(f"{folder}/")]
