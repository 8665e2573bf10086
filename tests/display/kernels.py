"""A real kernel, and what it sends while it executes cells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parent.parent.parent
Message = dict[str, Any]


class Kernel:
    """A running kernel.

    Attributes:
        manager: Starts, interrupts and stops it.
        client: Speaks to it.
    """

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    def send(self, code: str, *, cell: str | None = None) -> str:
        """Execute code, as the cell with that id where one is given; returns the message's id."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        metadata = {} if cell is None else {"cellId": cell}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def outputs(self, key: str, *, seconds: float = 60) -> list[Message]:
        """All messages that came until the execution ended, from whichever cell."""
        messages: list[Message] = []
        for message in self._messages(seconds):
            messages.append(message)
            idle = message["content"].get("execution_state") == "idle"
            if idle and message["parent_header"].get("msg_id") == key:
                break
        return messages

    def until(self, text: str, *, seconds: float = 60) -> list[Message]:
        """All messages that came until one had `text` in it."""
        messages: list[Message] = []
        for message in self._messages(seconds):
            messages.append(message)
            if text in repr(message["content"]):
                break
        return messages

    def run(self, code: str, *, cell: str | None = None) -> list[Message]:
        """Execute code and return all messages until it ended."""
        return self.outputs(self.send(code, cell=cell))

    def reply(self, key: str) -> Message:
        """What became of an execution."""
        while True:
            message = self.client.get_shell_msg(timeout=60)
            if message["parent_header"].get("msg_id") == key:
                content: Message = message["content"]
                return content

    def _messages(self, seconds: float) -> Iterator[Message]:
        deadline = time.monotonic() + seconds
        while True:
            yield self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))


@contextmanager
def running_kernel() -> Iterator[Kernel]:
    """Start a kernel of this Python in the root of the repository, and stop it afterwards."""
    manager = KernelManager()
    manager.start_kernel(cwd=str(ROOT))
    client = manager.blocking_client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def of_kind(messages: list[Message], kind: str) -> list[Message]:
    """The messages of one kind."""
    return [message for message in messages if message["msg_type"] == kind]


def html_of(message: Message) -> str:
    """The HTML of a message that shows something."""
    return str(message["content"]["data"]["text/html"])


def text_of(message: Message) -> str:
    """The plain text of a message that shows something."""
    return str(message["content"]["data"]["text/plain"])


def display_id(message: Message) -> str:
    """The id of the output that a message makes or updates."""
    return str(message["content"]["transient"]["display_id"])
