"""Where the memory of a forker lies: in one piece, and on huge pages, as far as that can be had.

To fork, and to end what was forked, costs time for every page and for every mapping. Imports leave
both behind by the thousand: the interpreter asks the kernel for a megabyte at a time, and what lies
there is between the libraries that were loaded before and after. While imports go on, it asks the C
library instead, whose heap is one piece, reserved beforehand on huge pages. That makes imports
faster too, which otherwise fetch and give back a few pages ten thousand times.

All of it is for glibc and CPython; elsewhere, and where limits forbid it, nothing is changed.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from typing import Any, Iterator, Tuple

from . import linux

try:
    import ctypes  # not every Python is built with it
except ImportError:
    ctypes = None  # type: ignore[assignment]

_HUGE = 2 * 1024 * 1024
_MADV_HUGEPAGE = 14
_MADV_COLLAPSE = 25
# Blocks below the largest that was ever freed come from the heap, if that was below 32 MB, and the
# heap keeps twice that at its end. It is what glibc does on its own in programs that use arrays.
_LARGEST = 31 * 1024 * 1024
_BLOCK = 28 * 1024 * 1024
_BETWEEN = 256 * 1024
_RAW = 0  # PYMEM_DOMAIN_RAW


class Heap:
    """The heap of the C library, with room for what is imported."""

    def __init__(self) -> None:
        """Reserve the room, where there can be any. It takes no memory before it is used."""
        self._imports: Any = None
        if linux.libc is not None and sys.implementation.name == "cpython" and _reserve(linux.libc):
            self._imports = _raw_allocator()

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the interpreter allocate there meanwhile, and then where it always does.

        What was allocated meanwhile and is given back afterwards stays with the process. What was
        allocated before must not be given back meanwhile, which would end the process: a whole
        piece of 256 kB or more, in which nothing is left of what the interpreter lives on.
        """
        if self._imports is None:
            yield
            return
        gc.collect()
        usual = _arena_allocator()
        _set_arena_allocator(*self._imports)
        try:
            yield
        finally:
            _set_arena_allocator(*usual)


def use_huge_pages() -> None:
    """Put the memory of this process on huge pages, as far as the kernel can (6.1 and newer).

    Memory that is mostly empty is left as it is, so that nothing grows.
    """
    if linux.libc is None:
        return
    for start, end, used in linux.private_memory():
        start, end = _on_huge_pages(start, end)
        if start < end and 2 * used > end - start:
            linux.libc.madvise(start, end - start, _MADV_COLLAPSE)


def _reserve(libc: Any) -> bool:
    """Make room at the end of the heap, in which what is used will be on huge pages.

    Returns:
        Whether there is such room. None of it takes memory before it is used.
    """
    libc.free(libc.malloc(_LARGEST))
    sizes = (_BLOCK, _BLOCK, _BETWEEN, _BLOCK, _BLOCK)
    blocks = [libc.malloc(size) or 0 for size in sizes]
    first, last = blocks[0], blocks[-1]
    together = sorted(blocks) == blocks and first > 0 and last - first < sum(sizes)
    if together:
        start, end = _on_huge_pages(first, last + _BLOCK)
        libc.madvise(start, end - start, _MADV_HUGEPAGE)
    # The one between keeps the first two from becoming part of the end, which would be cut off.
    kept = blocks.pop(2) if together else 0
    for block in reversed(blocks):
        libc.free(block)
    return bool(kept)


def _on_huge_pages(start: int, end: int) -> Tuple[int, int]:
    return start + -start % _HUGE, end - end % _HUGE


def _arena_allocator() -> Any:
    """What the interpreter gets its memory from: a context, and functions to allocate and free."""
    allocator = (ctypes.c_void_p * 3)()
    ctypes.pythonapi.PyObject_GetArenaAllocator(ctypes.byref(allocator))
    return tuple(allocator)


def _set_arena_allocator(context: Any, allocate: Any, free: Any) -> None:
    allocator = (ctypes.c_void_p * 3)(context, allocate, free)
    ctypes.pythonapi.PyObject_SetArenaAllocator(ctypes.byref(allocator))


def _raw_allocator() -> Any:
    """The same, with the C library's `malloc` and `free`.

    What an arena allocator's `free` is told beyond the address, this one does not look at.
    """
    allocator = (ctypes.c_void_p * 5)()
    ctypes.pythonapi.PyMem_GetAllocator(_RAW, ctypes.byref(allocator))
    context, malloc, _, _, free = allocator
    return context, malloc, free
