"""Keeps freed memory for the next layer, which makes large tiles twice as fast on CPUs.

The GNU C library maps blocks above 32 MB anew each time that one is allocated, and the kernel
clears them page by page: of a tile of 1024 x 1024, every layer's output. On one thread of an AMD
EPYC, the released model took 3.3 us a pixel with tiles of 768 or 1024, 2.0 us with 384, and 1.5 us
with any of them when freed memory is kept.
"""

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# Of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_NEVER = -1
_MEGABYTE = 1 << 20

_lock = threading.Lock()
_inside = 0


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside, memory that is freed stays with the process; at the end it is returned.

    May be nested, and used by several threads: the last one to leave returns the memory. Does
    nothing but with the GNU C library. Afterwards, that library's thresholds are where it moves
    them by itself as a program frees large blocks: it no longer adapts them.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            libc.mallopt(_MMAP_MAX, 0)
            libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                libc.mallopt(_MMAP_MAX, 65536)  # the default
                libc.mallopt(_MMAP_THRESHOLD, 32 * _MEGABYTE)
                libc.mallopt(_TRIM_THRESHOLD, 64 * _MEGABYTE)
                libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == 'glibc' else None
