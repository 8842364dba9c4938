"""Samples kept in memory once, however many workers read them."""

import mmap
import os
import pickle
import struct
import tempfile
from collections.abc import Callable
from multiprocessing.reduction import DupFd
from typing import Any

# Of addresses in the file alone: what is not written takes no memory.
_ROOM = 1 << 32
_LENGTHS = struct.Struct('<QQ')  # of the pickled part, and of all


class SharedSamples:
    """Samples by index, each made by the process that asks for it first, and seen by all.

    They lie in a file that has no name and is held in memory (on systems other than Linux, in the
    folder for temporary files): it is gone with the last process that has it open, however that
    one ends. Each index has its own place in the file, so that nobody waits: two workers that make
    the same sample at once write the same bytes.
    """

    def __init__(self) -> None:
        self._fd = _nameless_file()

    def get(self, index: int, make: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        """The sample of an index, made by ``make(index)`` unless some process did so before.

        Its arrays are mapped: only what is looked at is read, and writing to them changes nothing
        that anybody else sees.

        Args:
            index: at least 0.
            make: gives the same sample whenever it is called with the same index.
        """
        place = index * _ROOM
        lengths = os.pread(self._fd, _LENGTHS.size, place)
        if not any(lengths):  # past the end of the file, or in a hole of it
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
        _write(self._fd, _LENGTHS.pack(head, size), place)  # last: nobody looks at the rest before

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
    """Writes all of the data at a position; gives where it ends."""
    left = memoryview(data)
    while len(left):
        written = os.pwrite(fd, left, position)
        left, position = left[written:], position + written
    return position
