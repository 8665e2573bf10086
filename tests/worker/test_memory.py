"""Where the memory of a forker lies, in processes of every Python that there is."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from fractal_jupyter.worker.bundle import bundle

ROOT = Path(__file__).parents[2]
PYTHONS = dict(
    line.split()
    for line in subprocess.run(
        [ROOT / "tests/find-pythons"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
)
ARRAYS = "keep = [(n, str(n)) for n in range(200_000)]"  # some 20 MB, in small objects
PREAMBLE = """
import gc, json, os, resource, sys, threading
gc.disable()
sys.path.insert(0, sys.argv[1])
from fractal_worker import linux, memory

def heap():
    with open("/proc/self/maps") as maps:
        lines = [line.split() for line in maps if line.endswith("[heap]\\n")]
    spans = [[int(part, 16) for part in line[0].split("-")] for line in lines]
    return min(start for start, _ in spans), max(end for _, end in spans)

def share_in_heap(things):
    start, end = heap()
    return sum(start <= id(thing) < end for thing in things) / len(things)

def mappings():
    with open("/proc/self/maps") as maps:
        return len(list(maps))

def resident():
    return linux.memory_of(os.getpid())

def churn(depth):  # of frames, which the interpreter allocates where it allocates its arenas
    return depth and churn(depth - 1) + 1
"""


def tell(
    tmp_path: Path, version: str, program: str, limits: str = "", env: dict[str, str] | None = None
) -> dict[str, float]:
    """Run a program in a process of its own, and return what it has printed as JSON."""
    worker = tmp_path / "worker.pyz"
    worker.write_bytes(bundle())
    python = [PYTHONS[version], "-c", PREAMBLE + program, str(worker)]
    process = subprocess.run(
        ["bash", "-c", limits + 'exec "$@"', "bash", *python],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
    )
    assert process.returncode == 0, process.stderr
    result: dict[str, float] = json.loads(process.stdout)
    return result


@pytest.fixture(params=sorted(PYTHONS))
def version(request: pytest.FixtureRequest) -> str:
    """Each version of Python."""
    return str(request.param)


def test_what_is_imported_is_in_one_piece_and_what_comes_later_is_not(
    tmp_path: Path, version: str
) -> None:
    told = tell(
        tmp_path,
        version,
        f"""
room = memory.Heap()
before = mappings()
with room.in_use():
    {ARRAYS}
    inside, meanwhile = share_in_heap(keep), mappings() - before
later = [(n, str(n)) for n in range(200_000)]
print(json.dumps(dict(inside=inside, meanwhile=meanwhile, later=share_in_heap(later))))
""",
    )
    assert told["inside"] > 0.9
    assert told["meanwhile"] <= 4
    assert told["later"] < 0.5  # what is free in the pieces that are there is used first


def test_room_takes_no_memory_before_it_is_used(tmp_path: Path, version: str) -> None:
    program = """
before = resident()
room = memory.Heap()
with room.in_use():
    pass
print(json.dumps(dict(room=room._imports is not None, grown=resident() - before)))
"""
    told = tell(tmp_path, version, program)
    assert told["room"]
    assert told["grown"] < 2**20


def test_memory_is_given_back_as_ever_by_what_is_allocated_afterwards(
    tmp_path: Path, version: str
) -> None:
    told = tell(
        tmp_path,
        version,
        f"""
room = memory.Heap()
with room.in_use():
    {ARRAYS}
before = resident()
more = [(n, str(n)) for n in range(200_000)]
most = resident() - before
del more
print(json.dumps(dict(most=most, left=resident() - before)))
""",
    )
    assert told["most"] > 10e6
    assert told["left"] < told["most"] / 2


def test_what_is_given_back_later_or_meanwhile_does_no_harm(tmp_path: Path, version: str) -> None:
    told = tell(
        tmp_path,
        version,
        f"""
room = memory.Heap()
go, result = threading.Event(), []
def other():
    deep = churn(300)
    go.wait()  # its frames were allocated meanwhile, and are given back afterwards
    result.append(deep + churn(300))
for _ in range(3):  # imports, and what the first unit has imported later
    with room.in_use():
        {ARRAYS}
        thread = threading.Thread(target=other)
        thread.start()
        deep = churn(500)
        del keep
        {ARRAYS}
    del keep
    go.set()
    thread.join()
    gc.collect()
pids = [os.fork() for _ in range(1)]
if not pids[0]:
    {ARRAYS}
    os._exit(7)
print(json.dumps(dict(status=os.waitpid(pids[0], 0)[1] >> 8, deep=deep, other=result[0])))
""",
    )
    assert told == {"status": 7, "deep": 500, "other": 600}


@pytest.mark.parametrize(
    ("limits", "env"),
    [
        pytest.param("ulimit -v 130000; ", {}, id="little memory"),
        pytest.param("ulimit -d 60000; ", {}, id="little heap"),
        pytest.param("", {"MALLOC_MMAP_THRESHOLD_": "131072"}, id="a threshold that is set"),
    ],
)
def test_nothing_changes_where_there_is_no_room(
    tmp_path: Path, version: str, limits: str, env: dict[str, str]
) -> None:
    program = f"""
room = memory.Heap()
with room.in_use():
    {ARRAYS}
print(json.dumps(dict(room=room._imports is not None, inside=share_in_heap(keep))))
"""
    told = tell(tmp_path, version, program, limits, env)
    assert told["room"] is False
    assert told["inside"] < 0.5


def test_memory_on_huge_pages(tmp_path: Path, version: str) -> None:
    enabled = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not enabled.exists() or "[never]" in enabled.read_text():
        pytest.skip("the kernel has no transparent huge pages, or may not use them")
    told = tell(
        tmp_path,
        version,
        f"""
def huge():
    with open("/proc/self/smaps_rollup") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith("AnonHuge")) / 1024
room = memory.Heap()
before = huge()
with room.in_use():
    {ARRAYS}
at_once = huge() - before
memory.use_huge_pages()
print(json.dumps(dict(at_once=at_once, then=huge() - before, all=resident() / 2**20)))
""",
    )
    assert told["at_once"] > 8  # MB, of some 20
    assert told["then"] >= told["at_once"]
