"""Freed memory is kept inside the context, and given back after it."""

import platform
import subprocess
import sys

import pytest

_GLIBC = platform.libc_ver()[0] == 'glibc'
_SIZE = 200 << 20  # bytes
# In a process of its own: how the library behaves depends on what was allocated before.
_PROGRAM = """
import resource, torch
from dtir_mm.apis.freed_memory import freed_memory_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty({size}, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize()

faults()
base = resident()
print('before', faults())
with freed_memory_kept():
    faults()
    with freed_memory_kept():
        print('inside', faults())
    print('nested', faults())
    print('kept', resident() - base)
print('returned', resident() - base)
print('after', faults())
"""


@pytest.mark.skipif(not _GLIBC, reason='needs the GNU C library')
def test_freed_memory_is_kept_and_then_returned() -> None:
    program = _PROGRAM.format(size=_SIZE)
    run = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    found = {name: int(value) for name, value in map(str.split, run.stdout.splitlines())}
    assert found['before'] > 50, 'the block is mapped anew'
    assert found['inside'] < 5
    assert found['nested'] < 5
    assert found['kept'] > 0.9 * _SIZE
    assert found['returned'] < 0.1 * _SIZE
    assert found['after'] == pytest.approx(found['before'], abs=20)
