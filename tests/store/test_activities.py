"""Activities that outlive whoever did them are found and ended."""

from __future__ import annotations

import subprocess
import sys

from fractal_jupyter.store.store import Store

BEGIN = """
import sys
from fractal_jupyter.store.store import Store
Store(sys.argv[1]).activities.begin(action="collect", subject="x")
"""


def test_what_a_process_left_is_failed(store: Store) -> None:
    subprocess.run([sys.executable, "-c", BEGIN, store.url], check=True)
    own = store.activities.begin(action="collect", subject="y")
    store.activities.end_lost()
    mine, lost = store.activities.page(limit=10)
    assert (mine.id, mine.status) == (own.id, "ongoing")
    assert lost.status == "failed"
    assert lost.error is not None
    assert "has ended" in lost.error
    assert [a.id for a in store.activities.page(before=own.id, limit=10)] == [lost.id]
