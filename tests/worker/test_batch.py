"""Reading batches: what is wrong is said in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fractal_jupyter.worker.batch import Arguments, BatchError, Unit, read_batch
from tests.worker.batches import write_batch


def document(folder: Path) -> dict[str, Any]:
    batch: dict[str, Any] = json.loads((folder / "batch.json").read_text())
    return batch


def test_a_batch_is_read(tmp_path: Path) -> None:
    write_batch(tmp_path, ["/bin/true", "x.py"], [{"a": 1}, {}], cwd="/tmp", memory_limit=5)
    batch = read_batch(str(tmp_path))
    assert batch.command == ("/bin/true", "x.py")
    assert batch.units == (Unit(0, {"a": 1}), Unit(1, {}))
    assert (batch.cwd, batch.memory_limit, batch.notify) == ("/tmp", 5, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "its version is 2, this worker knows 1"),
        ({"command": []}, "`command` is not a list of strings"),
        ({"command": [1]}, "`command` is not a list of strings"),
        ({"command": "python"}, "`command` is 'python' instead of list"),
        ({"concurrency": 0}, "`concurrency` is less than 1"),
        ({"env": {"A": 1}}, "`env` has values that are no strings"),
        ({"cwd": 3}, "`cwd` is 3 instead of str or null"),
        ({"units": [{"index": 0}]}, "`units` has elements without an index and arguments"),
        ({"units": ["x"]}, "`units` has elements without an index and arguments"),
        ({"cold": 1}, "`cold` is 1 instead of str or null"),
    ],
)
def test_a_wrong_batch_is_refused_in_words(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    write_batch(tmp_path, ["true"], 1)
    (tmp_path / "batch.json").write_text(json.dumps({**document(tmp_path), **change}))
    with pytest.raises(BatchError) as caught:
        read_batch(str(tmp_path))
    assert str(caught.value) == f"{tmp_path}/batch.json is not a batch: {words}."


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    write_batch(tmp_path, ["true"], 1)
    batch = document(tmp_path)
    del batch["env"], batch["label"]
    (tmp_path / "batch.json").write_text(json.dumps(batch))
    with pytest.raises(BatchError, match="`label` is missing; `env` is missing"):
        read_batch(str(tmp_path))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"version": 1'])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "batch.json").write_text(text)
    with pytest.raises(BatchError, match="is not JSON"):
        read_batch(str(tmp_path))


@pytest.mark.parametrize("text", ["[]", "null", "3"])
def test_json_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "batch.json").write_text(text)
    with pytest.raises(BatchError, match="it is no JSON object"):
        read_batch(str(tmp_path))


def test_a_missing_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BatchError, match="cannot be read: No such file or directory"):
        read_batch(str(tmp_path))


@pytest.mark.parametrize("common", [{}, {"a": 1, "b": {"c": [2]}}])
@pytest.mark.parametrize("args", [{}, {"z": "ö"}, {"a": 5}, {"z": 1, "b": None}])
def test_arguments_of_a_unit_come_over_common_ones(
    common: dict[str, Any], args: dict[str, Any]
) -> None:
    text = Arguments(common).encode(args)
    pairs = json.loads(text, object_pairs_hook=list)
    assert len(dict(pairs)) == len(pairs)
    assert json.loads(text) == {**common, **args}
