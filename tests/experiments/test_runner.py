"""The runner starts the most valuable cells first, after what they need, and survives failures."""

from types import SimpleNamespace

import pytest
from evidence import runner as module
from evidence.matrix import all_cells
from evidence.runner import Runner

WISE = 'naive_wise50_rainy_s0'
NEEDED = ['pretrain-vp_all_s0', 'naive_rainy_s0']


class Instant(Runner):
    """Runs cells at once: leaves the weights that ``run_cell`` would, unless one is to fail."""

    fails = ()

    def _start(self, context, cell):
        self.say(f'start {cell.key}')
        failed = cell.key in self.fails
        if not failed:
            folder = module.folder_of(cell, self.work)
            folder.mkdir()
            (folder / f'iter_{getattr(cell.study, "updates", 0)}.pth').touch()
        process = SimpleNamespace(exitcode=int(failed), terminate=lambda: None, join=lambda: None)
        self._running[cell.key] = (process, 0.0)


@pytest.fixture
def run(tmp_path, monkeypatch):
    done = set()
    monkeypatch.setattr(module, 'is_done', lambda cell, results: cell.key in done)
    monkeypatch.setattr(module, 'folder_of', lambda cell, work: work / cell.key)
    monkeypatch.setattr(module, '_POLL', 0)

    def run_cells(*only, fails=(), already=(), jobs=1, minutes=1.0):
        done.update(already)
        lines = []
        runner = Instant(tmp_path, tmp_path / 'work', tmp_path, jobs, lines.append)
        runner.fails = fails
        failed = runner.run(minutes, only or None)
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
    started, failed, _ = run(jobs=2, minutes=10)
    assert started == list(all_cells())
    assert failed == []


def test_no_cell_starts_after_the_deadline(run):
    assert run(WISE, minutes=0.0)[0] == []
