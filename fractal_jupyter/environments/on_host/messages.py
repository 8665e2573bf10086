"""What the program tells whoever started it: one JSON document per line of standard output.

    {"log": "text"}        a line of the log
    {"beat": 3}            still there
    {"built": {…}}         the last one when all went well
    {"failed": {"reason": …, "output": …}}   the last one when not

A line that is none of these comes from a child process that writes to the terminal directly.
"""

from __future__ import annotations

import json
import os
import threading

_lock = threading.Lock()


class Failure(Exception):
    """The environment cannot be built.

    Attributes:
        reason: which kind of failure, a key that the other side knows.
        output: what the tool that failed wrote, or what there is to say.
    """

    def __init__(self, reason: str, output: str) -> None:
        super().__init__(reason, output)
        self.reason = reason
        self.output = output


def send(kind: str, content: object) -> None:
    """Write one message, as a whole; raise OSError when nobody reads any more."""
    line = memoryview(json.dumps({kind: content}).encode() + b"\n")
    with _lock:
        while line:
            line = line[os.write(1, line) :]


def log(text: str) -> None:
    """Write a line of the log."""
    send("log", text)


def report(failure: Failure) -> None:
    """Write why there is no environment."""
    send("failed", {"reason": failure.reason, "output": failure.output})
