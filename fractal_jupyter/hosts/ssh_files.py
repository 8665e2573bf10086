"""File operations on an SSH host as scripts for a POSIX shell and GNU coreutils; pure.

Each script ends with status 0, with `MISSING` when what it needs is not there, or with another one
and a reason on its error output.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fractal_jupyter.hosts.aside import new_draft, new_removed
from fractal_jupyter.hosts.listing import list_command
from fractal_jupyter.hosts.ssh_shell import quoted

__all__ = [
    "MISSING",
    "Parcel",
    "list_script",
    "mkdir_script",
    "parcels",
    "parse_pieces",
    "portions",
    "read_many_script",
    "read_script",
    "remove_script",
]

MISSING = 44
# How much one stream carries: files, and bytes of paths.
_FILES = 5000
_PATHS = 200_000

# Ends a script about a path that cannot be used: it is missing, unless something that leads to it
# is closed to us; then what was said about it stands.
_GONE = """
fail() {
path=$1
if ! [ -e "$path" ]; then
while path=${path%/*}; [ -n "$path" ] && ! [ -e "$path" ]; do :; done
if [ -z "$path" ] || ! [ -d "$path" ] || [ -x "$path" ]; then exit 44; fi
fi
exit 1
}
"""


def read_script(path: str, offset: int, limit: int | None) -> str:
    """Return the script that writes a file from a byte on to its output."""
    cut = "" if limit is None else f" | head -c {limit}"
    return f"""{_GONE}
if [ -d {quoted(path)} ]; then printf '%s\\n' 'it is a folder' >&2; exit 1; fi
{{ tail -c +{offset + 1}{cut}; }} < {quoted(path)} || fail {quoted(path)}
"""


def read_many_script(offsets: Mapping[str, int], mark: str) -> str:
    """Return the script that writes several files, each from a byte on.

    After each comes the mark with `0` (that was it) or `1` (there is none). The mark has just been
    made up, so no file can hold it.
    """
    files = " ".join(f"{quoted(path)} {offset + 1}" for path, offset in offsets.items())
    return f"""{_GONE}
set -- {files}
while [ $# -gt 0 ]; do
if [ -d "$1" ]; then printf '%s\\n' "$1: it is a folder" >&2; exit 1; fi
if {{ tail -c "+$2"; }} < "$1"; then printf '%s' '{mark}0'
else (fail "$1"); [ $? -eq {MISSING} ] || exit 1; printf '%s' '{mark}1'; fi
shift 2
done
"""


def parse_pieces(output: bytes, mark: str, paths: Sequence[str]) -> dict[str, bytes]:
    """Return the files in what `read_many_script` has written; missing ones are left out."""
    # Behind each mark stands its digit, and then the next file.
    first, *rest = output.split(mark.encode())
    contents = [first, *(piece[1:] for piece in rest)]
    return {
        path: content
        for path, content, after in zip(paths, contents, rest, strict=False)
        if after.startswith(b"0")
    }


def list_script(path: str) -> str:
    """Return the script that lists a folder; see `hosts.listing`."""
    folder = quoted(path)
    return f"""{_GONE}
{quoted(*list_command(path))}
[ $? -lt 2 ] || {{ [ -d {folder} ] || [ ! -e {folder} ] || exit {MISSING}; fail {folder}; }}
"""


def mkdir_script(path: str, *, mode: int, parents: bool, exist_ok: bool) -> str:
    """Return the script that makes a folder and says `made` or `there`."""
    folder, parent = quoted(path), posixpath.dirname(path.rstrip("/")) or "/"
    there = f"[ -d {folder} ]" if exist_ok else f"[ -e {folder} ] || [ -L {folder} ]"
    return f"""{_GONE}
{f"mkdir -p {quoted(parent)} || exit 1" if parents else ""}
if mkdir -m {mode:o} {folder}; then printf made
elif {there}; then printf there
else fail {quoted(parent)}; fi
"""


def remove_script(path: str) -> str:
    """Return the script that removes whatever is there, even while it is still written to.

    A folder is given another name first, so that nobody can add to it.
    """
    parent = posixpath.dirname(path.rstrip("/"))
    return f"""
doomed={quoted(path)}
renamed={quoted(posixpath.join(parent, new_removed()))}
if [ -d "$doomed" ] && ! [ -L "$doomed" ] && mv -T -- "$doomed" "$renamed" 2>/dev/null
then doomed=$renamed; fi
tries=50
until said=$(rm -rf -- "$doomed" 2>&1); do
tries=$((tries - 1))
if [ $tries -eq 0 ]; then printf '%s\\n' "$said" >&2; exit 1; fi
sleep 0.02
done
"""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Files to write with one stream: what to call them, the script, and its input."""

    shown: str
    script: str
    stdin: bytes


def parcels(files: Mapping[str, bytes], mode: int) -> Iterator[Parcel]:
    """Give the streams that write files, each atomically: one, unless they are very many.

    For each folder there is an archive, unpacked into a new folder within it and moved from there
    at once. A cut stream leaves nothing, because an archive is complete before anything is moved.
    """
    for portion in portions(files):
        folders: dict[str, list[str]] = {}
        for path in portion:
            folders.setdefault(posixpath.dirname(path) or "/", []).append(path)
        # What is said on a connection that is cut must not end the script before its trap.
        script, archives = [_GONE, "trap '' PIPE"], []
        for folder, paths in folders.items():
            archive = _archive({posixpath.basename(path): files[path] for path in paths}, mode)
            script.append(_unpack(folder, size=len(archive), names=paths))
            archives.append(archive)
        name = portion[0] if len(portion) == 1 else f"{portion[0]} and others"
        yield Parcel(name, "\n".join(script), b"".join(archives))


def _unpack(folder: str, *, size: int, names: Iterable[str]) -> str:
    """Return the part of a script that takes an archive of `size` bytes from its input."""
    draft = posixpath.join(folder, new_draft())
    moved = quoted(*(posixpath.basename(name) for name in names))
    return f"""
draft={quoted(draft)}
trap 'rm -rf "$draft"' EXIT
mkdir -m 700 "$draft" || fail {quoted(folder)}
head -c {size} > "$draft/archive" || exit 1
[ "$(wc -c < "$draft/archive")" -eq {size} ] || {{ echo 'the stream was cut' >&2; exit 1; }}
mkdir "$draft/files" && tar -xpomf "$draft/archive" -C "$draft/files" || exit 1
(cd "$draft/files" && exec mv -f -t {quoted(folder)} -- {moved}) || exit 1
rm -rf "$draft"
"""


def _archive(contents: Mapping[str, bytes], mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def portions(paths: Iterable[str]) -> Iterator[list[str]]:
    """Divide paths so that neither a script nor the arguments of a command get too long."""
    portion: list[str] = []
    length = 0
    for path in paths:
        size = len(path.encode(errors="surrogateescape")) + 20
        if portion and (length + size > _PATHS or len(portion) == _FILES):
            yield portion
            portion, length = [], 0
        portion.append(path)
        length += size
    if portion:
        yield portion
