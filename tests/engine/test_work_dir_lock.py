"""A work directory is locked by one run until its process ends."""

import errno
import fcntl
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from mmengine.config import Config
from toy_training import FAST, train
from two_processes import free_port

from dtir_mm.engine import work_dir_lock
from dtir_mm.engine.work_dir_lock import WorkDirInUseError, lock_work_dir, unlock_work_dir
from dtir_mm.registry import RUNNERS

# Locks a folder in another process, without importing torch, which takes seconds. Its child process
# outlives it, like a data loader's worker.
HOLD = """
import importlib.util, os, sys, time
spec = importlib.util.spec_from_file_location('work_dir_lock', sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
try:
    module.lock_work_dir(sys.argv[2])
except module.WorkDirInUseError as error:
    sys.exit(str(error))
worker = os.fork()
if worker:
    print(worker, flush=True)
time.sleep(60)
"""
QUICK = f"""{FAST}
train_cfg.update(max_iters=2)
default_hooks = dict(checkpoint=dict(interval=1), importance=None)
"""


def command(folder: Path) -> list[str]:
    return [sys.executable, '-c', HOLD, work_dir_lock.__file__, str(folder)]


@pytest.fixture
def hold():
    """Starts a process that locks a folder; returns it and the id of its worker."""
    ids = []

    def start(folder: Path) -> tuple[subprocess.Popen, int]:
        process = subprocess.Popen(command(folder), stdout=subprocess.PIPE, text=True)
        worker = int(process.stdout.readline())
        ids.extend([process.pid, worker])
        return process, worker

    yield start
    for number in ids:
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            pass


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() if p.is_file() else b'' for p in folder.iterdir()}


def test_a_second_run_is_rejected_and_changes_nothing(toy_config, tmp_path, hold):
    config, work_dir = toy_config('pretrain', QUICK), tmp_path / 'run'
    train(config, work_dir)
    process, worker = hold(work_dir)  # possible after training
    (work_dir / f'.iter_4.pth.{process.pid}.tmp').write_text('being written')
    before = contents(work_dir)
    for resume in (False, True):
        with pytest.raises(WorkDirInUseError) as error:
            train(config, work_dir, resume=resume)
        said = str(error.value)
        assert f'run is in use by process {process.pid} on {socket.gethostname()} since 2' in said
        assert str(work_dir) in said.partition('since')[2], 'the command'
        assert contents(work_dir) == before

    process.kill()
    process.wait()
    os.kill(worker, 0)  # still alive, without a lock
    train(config, work_dir, resume=True)
    assert not list(work_dir.glob('.iter_*'))


@pytest.mark.parametrize('mode', [0o700, 0o755, 0o775, 0o777])
def test_whoever_may_write_to_the_folder_may_lock_it(tmp_path, mode):
    tmp_path.chmod(mode)
    before = os.umask(0o077)
    try:
        lock_work_dir(tmp_path)
    finally:
        os.umask(before)
    unlock_work_dir(tmp_path)
    assert (tmp_path / '.lock').stat().st_mode & 0o777 == mode & 0o666


def test_a_lock_that_is_not_a_file_is_an_error(tmp_path):
    (tmp_path / '.lock').mkdir()
    with pytest.raises(OSError, match=r'must be a writable file .*Is a directory') as error:
        lock_work_dir(tmp_path)
    assert str(tmp_path) in str(error.value) and '--work-dir' in str(error.value)


def test_locking_is_reentrant_and_unlocking_releases(tmp_path, hold):
    for _ in range(2):
        lock_work_dir(tmp_path)
    refused = subprocess.run(command(tmp_path), capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert f'is in use by process {os.getpid()} on' in refused.stderr
    unlock_work_dir(tmp_path)
    process, _ = hold(tmp_path)
    with pytest.raises(WorkDirInUseError, match=f'process {process.pid} on'):
        lock_work_dir(tmp_path)
    unlock_work_dir(tmp_path)  # no effect on another process's lock
    assert process.poll() is None


def test_a_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'lockf', none)
    with pytest.warns(UserWarning, match=r'not locked against a second run: .*No locks available'):
        lock_work_dir(tmp_path)
    unlock_work_dir(tmp_path)
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        lock_work_dir(tmp_path)
    unlock_work_dir(tmp_path)


def build_as(rank: int, port: int, config_path: Path, work_dir: Path, said) -> None:
    """Builds the runner as one of two processes, and sends its error."""
    os.environ |= {'RANK': str(rank), 'LOCAL_RANK': str(rank), 'WORLD_SIZE': '2'}
    os.environ |= {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}
    config = Config.fromfile(config_path)
    config.work_dir, config.launcher = str(work_dir), 'pytorch'
    try:
        RUNNERS.build(config)
    except OSError as error:
        said.put((rank, f'{type(error).__name__}: {error}'))


def test_all_processes_of_a_second_run_are_rejected(toy_config, tmp_path, hold):
    config, work_dir = toy_config('pretrain', QUICK), tmp_path / 'run'
    work_dir.mkdir()
    process, _ = hold(work_dir)
    port = free_port()
    fork = multiprocessing.get_context('fork')
    said = fork.Queue()
    ranks = [
        fork.Process(target=build_as, args=(rank, port, config, work_dir, said)) for rank in (0, 1)
    ]
    for rank in ranks:
        rank.start()
    errors = dict(said.get(timeout=60) for _ in ranks)
    for rank in ranks:
        rank.join(60)
        assert rank.exitcode == 0
    assert errors[0] == errors[1]
    assert errors[1].startswith(f'WorkDirInUseError: {work_dir} is in use by process {process.pid}')
    assert [path.name for path in work_dir.iterdir()] == ['.lock']
