"""A sample cache in memory, shared by all workers of a data loader."""

import mmap
import os
import pickle
import struct
import tempfile
from collections.abc import Callable
from multiprocessing.reduction import DupFd
from typing import Any

# Bytes of address space per sample; unwritten ones take no memory.
_ROOM = 1 << 32
_LENGTHS = struct.Struct('<QQ')  # of the pickled part, and in total


class SharedSamples:
    """Samples by index, each computed by the first process that asks for it and visible to all.

    They are stored in an anonymous file in memory (on systems other than Linux, a temporary file),
    which disappears with the last process that has it open. Each index has its own place in the
    file, so no locks are needed: two workers that compute the same sample write the same bytes.
    """

    def __init__(self) -> None:
        self._fd = _nameless_file()

    def get(self, index: int, make: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        """The sample of an index, computed by ``make(index)`` unless it is already stored.

        Its arrays are mapped copy-on-write: only the parts accessed are read, and writing to them
        has no effect on other processes.

        Args:
            index: at least 0.
            make: a pure function of the index.
        """
        place = index * _ROOM
        lengths = os.pread(self._fd, _LENGTHS.size, place)
        if not any(lengths):  # beyond the end of the file, or in a hole
            self._store(place, make(index))
            lengths = os.pread(self._fd, _LENGTHS.size, place)
        head, size = _LENGTHS.unpack(lengths)
        mapped = memoryview(mmap.mmap(self._fd, size, access=mmap.ACCESS_COPY, offset=place))
        pickled, sizes = pickle.loads(mapped[_LENGTHS.size : head])
        buffers = []
        for array in sizes:
            buffers.append(mapped[head : head + array])
            head += array
        return pickle.loads(pickled, buffers=buffers)

    def _store(self, place: int, sample: dict[str, Any]) -> None:
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(sample, protocol=5, buffer_callback=buffers.append)
        arrays = [buffer.raw() for buffer in buffers]
        content = pickle.dumps((pickled, [array.nbytes for array in arrays]))
        head = _LENGTHS.size + len(content)
        size = head + sum(array.nbytes for array in arrays)
        if size > _ROOM:
            raise ValueError(f'a sample of {size} bytes cannot be cached; set cache=False')
        end = place + _LENGTHS.size
        parts: list[bytes | memoryview] = [content, *arrays]
        for part in parts:
            end = _write(self._fd, part, end)
        _write(self._fd, _LENGTHS.pack(head, size), place)  # last: marks the sample as complete

    def __getstate__(self) -> dict[str, Any]:
        return {'fd': DupFd(self._fd)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._fd = state['fd'].detach()

    def __del__(self) -> None:
        os.close(self._fd)


def _nameless_file() -> int:
    if hasattr(os, 'memfd_create'):
        return os.memfd_create('samples')
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(fd: int, data: bytes | memoryview, position: int) -> int:
    """Writes all of ``data`` at ``position``; returns the position behind it."""
    left = memoryview(data)
    while len(left):
        written = os.pwrite(fd, left, position)
        left, position = left[written:], position + written
    return position
