from __future__ import annotations

import gc

import pytest

from fractal_jupyter.models.bulk import collector_paused


def test_the_collector_pauses_and_comes_back() -> None:
    assert gc.isenabled()
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), collector_paused():
        raise KeyError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    @collector_paused()
    def enabled() -> bool:
        return gc.isenabled()

    gc.disable()
    try:
        assert not enabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert not enabled()
    assert gc.isenabled()
