"""Append-only files that are rolled: `<prefix>-0000`, then `<prefix>-0001` and so on.

Hosts without reading from an offset read each file once when it is complete, and only the last one
again and again, so that reading stays linear. A segment never changes once the next one exists.
"""

from __future__ import annotations

import os
from typing import Tuple

SEGMENT_BYTES = 4 * 1024 * 1024


class Segments:
    """Writes one series of files.

    Attributes:
        number: The number of the current segment.
        size: Its size in bytes.
        fd: Its descriptor.
    """

    def __init__(self, folder: str, prefix: str) -> None:
        self._base = os.path.join(folder, prefix)
        self._torn = False
        self.number = -1
        self.fd = -1
        self.size = 0
        self._open_next()

    def append(self, data: bytes) -> Tuple[int, int]:
        """Append `data` in one piece; return the number of its segment and the offset there.

        Raises:
            OSError: It could not be written (the disk is full, …).
        """
        self.make_room(len(data))
        offset = self.begin()
        self.write(data)
        return self.number, offset

    def begin(self) -> int:
        """Return the offset of what is written next, after a line break if a line was cut short."""
        if self._torn:
            self.write(b"\n")
        return self.size

    def write(self, data: bytes) -> None:
        """Append to the current segment, however large it is; raises `OSError`."""
        self._torn = True
        while data:
            written = os.write(self.fd, data)
            self.size += written
            data = data[written:]
        self._torn = False

    def make_room(self, length: int) -> None:
        """Open the next segment if `length` bytes more make this one too large."""
        if self.size and self.size + length > SEGMENT_BYTES:
            self._open_next()

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        os.fsync(self.fd)

    def close(self) -> None:
        """Close the current segment."""
        os.close(self.fd)

    def _open_next(self) -> None:
        path = "%s-%04d" % (self._base, self.number + 1)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        if self.fd >= 0:
            os.fsync(self.fd)  # nothing comes back to a segment that is complete
            os.close(self.fd)
        self.fd, self.number, self.size = fd, self.number + 1, 0
