"""The names of the files and folders of a job. Nothing else spells them."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from pathlib import PurePosixPath

from fractal_jupyter.schedulers.base import batch_folder


def job_folder_name(name: str) -> str:
    """A new, unique and sortable folder name for a job called `name`."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return f"{stamp}-{slug(name)}-{secrets.token_hex(3)}"


def slug(text: str) -> str:
    """`text` as a short file name of lower-case ASCII letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "task"


@dataclass(frozen=True, slots=True)
class JobPaths:
    """The folders below the folder of one job."""

    folder: PurePosixPath

    def step(self, position: int, task_name: str) -> PurePosixPath:
        """The folder of a step."""
        return self.folder / f"step-{position}-{slug(task_name)}"

    def batch(self, position: int, task_name: str, phase: str, number: int) -> PurePosixPath:
        """The folder of a batch; numbers count on when a step is retried."""
        return PurePosixPath(batch_folder(str(self.step(position, task_name) / phase), number))
