"""The runner starts the most valuable cells first, after what they need, and survives failures."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from evidence import runner as module
from evidence.matrix import all_cells
from evidence.runner import Runner

WISE = 'naive_wise50_rainy_s0'
NEEDED = ['pretrain-vp_all_s0', 'naive_rainy_s0']


class Process:
    """Ends at the third look, and leaves the weights that ``run_cell`` would, unless it fails."""

    def __init__(self, weights: Path, code: int, looks: float):
        self.weights, self.code, self.looks = weights, code, looks

    @property
    def exitcode(self):
        self.looks -= 1
        if self.looks <= 1 and not self.code:
            self.weights.parent.mkdir(exist_ok=True)
            self.weights.touch()  # before the end: tests follow
        return None if self.looks > 0 else self.code

    def terminate(self):
        pass

    def join(self):
        pass


class Recorder(Runner):
    """Starts no process of its own, and checks what it starts."""

    fails = ()
    looks = 3
    most = 0

    def _start(self, context, cell):
        self.say(f'start {cell.key}')
        assert not self._running.keys() & {cell.key, *cell.needs}
        file = f'iter_{getattr(cell.study, "updates", 0)}.pth'
        weights = module.folder_of(cell, self.work) / file
        process = Process(weights, int(cell.key in self.fails), self.looks)
        self._running[cell.key] = (process, 0.0)
        self.most = max(self.most, len(self._running))


@pytest.fixture
def run(tmp_path, monkeypatch):
    done = set()
    monkeypatch.setattr(module, 'is_done', lambda cell, results: cell.key in done)
    monkeypatch.setattr(module, 'folder_of', lambda cell, work: work / cell.key)
    monkeypatch.setattr(module, '_POLL', 0)
    monkeypatch.setenv('PYTHONPATH', '')

    def run_cells(*only, fails=(), already=(), jobs=1, minutes=1.0, looks=3):
        done.update(already)
        lines = []
        runner = Recorder(tmp_path, tmp_path / 'work', tmp_path, jobs, lines.append)
        runner.fails, runner.looks = fails, looks
        failed = runner.run(minutes, only or None)
        assert runner.most <= jobs
        return [line.split()[1] for line in lines if line.startswith('start')], failed, lines

    return run_cells


def test_cells_run_after_those_they_need(run):
    started, failed, _ = run(WISE)
    assert started == [*NEEDED, WISE]
    assert failed == []


def test_weights_that_are_there_are_not_trained_again(run):
    run(*NEEDED)
    assert run(WISE, already=NEEDED)[0] == [WISE]


def test_weights_are_trained_again_if_only_the_result_is_left(run):
    assert run(WISE, 'scratch_rainy_s1', already=NEEDED)[0] == ['scratch_rainy_s1', *NEEDED, WISE]


def test_finished_cells_are_left_alone(run):
    assert run('scratch_rainy_s0', 'scratch_rainy_s1', already=['scratch_rainy_s0'])[0] == [
        'scratch_rainy_s1'
    ]


def test_a_failure_ends_only_what_needs_it(run):
    started, failed, lines = run(WISE, 'scratch_rainy_s0', fails=['naive_rainy_s0'])
    assert started == ['scratch_rainy_s0', *NEEDED]
    assert failed == ['naive_rainy_s0']
    assert any(line.startswith('naive_rainy_s0 failed; its log: ') for line in lines)


def test_all_cells_run_in_the_order_of_value(run):
    started, failed, _ = run(minutes=10, looks=1)
    assert started == list(all_cells())
    assert failed == []


def test_others_run_while_a_cell_waits_for_weights(run):
    started, _, _ = run('naive_rainy_s0', 'naive_noisy_s0', 'scratch_noisy_s0', jobs=3)
    assert started[:2] == ['pretrain-vp_all_s0', 'scratch_noisy_s0']
    assert sorted(started[2:]) == ['naive_noisy_s0', 'naive_rainy_s0']


def test_no_cell_starts_after_the_deadline(run):
    assert run(WISE, minutes=0.0)[0] == []


def test_a_cell_that_runs_at_the_deadline_is_stopped(run, monkeypatch):
    stopped = []
    monkeypatch.setattr(Process, 'terminate', lambda self: stopped.append(self))
    _, failed, lines = run('scratch_rainy_s0', minutes=0.001, looks=math.inf)
    assert lines[-1] == 'scratch_rainy_s0: stopped; continues next time'
    assert len(stopped) == 1
    assert failed == []


def test_cells_end_with_the_runner_even_if_it_is_killed():
    script = """
import multiprocessing, os, signal, time
from evidence import training

def cell():
    training._end_with_parent()
    print('started', flush=True)
    time.sleep(300)

if __name__ == '__main__':
    process = multiprocessing.get_context('fork').Process(target=cell)
    process.start()
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run(
        [sys.executable, '-c', script], env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip  # returns when the cell has ended, too, whose output is the same; it would sleep
    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout == 'started\n'
