"""The extension of Jupyter Server."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from jupyter_server.extension.application import ExtensionApp
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from traitlets import Bool, Float, Integer, Unicode

from fractal_jupyter.server.api import Api
from fractal_jupyter.server.events import Announcer
from fractal_jupyter.server.handler import ANNOUNCER_SETTING, API_SETTING, POOLS_SETTING
from fractal_jupyter.server.routes import handlers
from fractal_jupyter.store.store import STORE_VARIABLE


class FractalExtension(ExtensionApp):
    """Fractal in Jupyter: REST below `fractal/api`, and events.

    Configured as `c.FractalExtension.<name>` in `jupyter_server_config.py`, or as
    `--FractalExtension.<name>=…` on the command line.
    """

    name = "fractal_jupyter"

    store_url = Unicode(
        None,
        allow_none=True,
        help="SQLAlchemy URL of the store. By default that of the Python API: the value of "
        "FRACTAL_JUPYTER_STORE, or else a file in this user's Jupyter data directory.",
    ).tag(config=True)
    page_size = Integer(
        100, min=1, help="How many items a page of a listing has that does not say so."
    ).tag(config=True)
    largest_page = Integer(
        1_000, min=1, help="How many items a page of a listing may ask for."
    ).tag(config=True)
    log_page_bytes = Integer(
        262_144, min=4, help="How many bytes a page of a log has that does not say so."
    ).tag(config=True)
    watch_seconds = Float(
        1.0, min=0.05, help="How often the store is looked at for changes to tell of."
    ).tag(config=True)
    local_work_is_activity = Bool(
        True,
        help="Whether the server counts as used while a job runs on this machine or an "
        "environment is built, so that a culler does not stop it meanwhile.",
    ).tag(config=True)
    store_threads = Integer(
        4, min=1, help="How many requests that ask the store only are answered side by side."
    ).tag(config=True)
    host_threads = Integer(
        8, min=1, help="The same of requests that may ask other machines, which may hang."
    ).tag(config=True)

    def initialize_settings(self) -> None:
        """Make what all handlers share."""
        self._pools = {
            slow: ThreadPoolExecutor(threads, thread_name_prefix=f"fractal-{name}")
            for slow, threads, name in (
                (False, self.store_threads, "store"),
                (True, self.host_threads, "hosts"),
            )
        }
        self._api = Api(
            url=self.store_url,
            page_size=self.page_size,
            largest_page=self.largest_page,
            log_page_bytes=self.log_page_bytes,
        )
        if self.store_url:
            # Kernels are started by this process, and are to use the same store.
            os.environ[STORE_VARIABLE] = _wherever_one_is(self.store_url)
        server = cast("Any", self.serverapp)  # by now there is one
        self._announcer = Announcer(
            lambda: self._api.store,
            logger=server.event_logger,
            pool=self._pools[False],
            seconds=self.watch_seconds,
            log=self.log,
            record_activity=self._record_activity,
        )
        self.settings.update(
            {
                API_SETTING: self._api,
                POOLS_SETTING: self._pools,
                ANNOUNCER_SETTING: self._announcer,
            }
        )

    def initialize_handlers(self) -> None:
        """Give the server all routes."""
        self.handlers.extend(handlers())

    def _record_activity(self) -> None:
        """Say that the server is used; Jupyter looks there, and cullers ask Jupyter."""
        if self.local_work_is_activity:
            self.settings["last_activity_times"][self.name] = datetime.now(UTC)

    async def stop_extension(self) -> None:
        """Record what ends with the server, and close the store."""
        self._announcer.stop()
        await asyncio.to_thread(self._api.close)
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)


def _wherever_one_is(url: str) -> str:
    """The same URL, for processes that run in other folders: with the absolute path of a file."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # said to whoever asks for the store
        return url
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        parsed = parsed.set(database=str(Path(parsed.database).absolute()))
    return parsed.render_as_string(hide_password=False)
