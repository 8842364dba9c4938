"""Freed memory is kept inside the context, and given back after it."""

import platform
import subprocess
import sys

import pytest

_GLIBC = platform.libc_ver()[0] == 'glibc'
_SIZE = 64 << 20  # bytes, above the 32 MB from which blocks are mapped anew
_HUGE_PAGE = 2 << 20
_ROUNDS = 10
# In a process of its own: how the library behaves depends on what was allocated before.
_PROGRAM = """
import resource, torch
from dtir_mm.apis.freed_memory import freed_memory_kept

def faults(size={size}):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({rounds}):
        torch.empty(size, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize()

faults()
base = resident()
print('before', faults())
with freed_memory_kept():
    with freed_memory_kept():
        print('inside', faults())
    print('nested', faults())
    print('kept', resident() - base)
print('returned', resident() - base)
print('after', faults(8 * {size}))  # larger than any hole in the heap
"""


@pytest.mark.skipif(not _GLIBC, reason='needs the GNU C library')
def test_freed_memory_is_kept_and_then_returned() -> None:
    program = _PROGRAM.format(size=_SIZE, rounds=_ROUNDS)
    run = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    found = {name: int(value) for name, value in map(str.split, run.stdout.splitlines())}
    block = found['before'] / _ROUNDS
    assert block >= _SIZE / _HUGE_PAGE, 'every block is mapped anew'
    # A small object that lives at the beginning of a freed block makes the next one grow the heap.
    assert found['inside'] < 4 * block
    assert found['nested'] < 4 * block
    assert found['kept'] > 0.9 * _SIZE
    assert found['returned'] < 0.1 * _SIZE
    assert found['after'] == pytest.approx(8 * found['before'], rel=0.1)
