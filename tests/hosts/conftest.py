"""Leaves out the tests of the host contract that need more than a host can do."""

from __future__ import annotations

import pytest

from fractal_jupyter.hosts.base import Capability


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*capabilities): what a host must be able to do")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unfit = [item for item in items if not _fits(item)]
    if unfit:
        items[:] = [item for item in items if _fits(item)]
        config.hook.pytest_deselected(items=unfit)


def _fits(item: pytest.Item) -> bool:
    offered: frozenset[Capability] = getattr(
        getattr(item, "cls", None), "capabilities", frozenset()
    )
    return all(set(mark.args) <= offered for mark in item.iter_markers("needs"))
