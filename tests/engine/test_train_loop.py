"""The training loop's arguments and task schedule."""

from types import SimpleNamespace

import pytest
from torch.utils.data import Sampler, SequentialSampler

from dtir_mm.engine.task_mixture_sampler import TaskMixtureSampler
from dtir_mm.engine.task_schedule import TaskSchedule
from dtir_mm.engine.train_loop import IterationTrainLoop


@pytest.mark.parametrize(
    ('values', 'said'),
    [
        ((0, 1), 'train_cfg.max_iters=0 must be at least 1'),
        ((-1, 1), 'train_cfg.max_iters=-1 must be at least 1'),
        ((2, 0), 'train_cfg.val_interval=0 must be at least 1'),
    ],
)
def test_intervals_must_be_positive(values, said):
    with pytest.raises(ValueError, match=f'^{said}'):
        IterationTrainLoop(None, {}, *values)


def loop_of(sampler: Sampler) -> IterationTrainLoop:
    loader = SimpleNamespace(dataset=SimpleNamespace(tasks=['rainy', 'hazy']), sampler=sampler)
    return IterationTrainLoop(None, loader, 6, 6)


def test_the_default_schedule_has_all_tasks_from_the_start():
    sampler = object.__new__(TaskMixtureSampler)
    loop = loop_of(sampler)
    assert loop.schedule == TaskSchedule(('rainy', 'hazy'), 'joint', 6)
    stages = TaskSchedule(('hazy', 'rainy'), 'cumulative', 6)
    loop.follow(stages)
    assert loop.schedule is sampler.schedule is stages
    assert loop.schedule.tasks_at(0) == ['hazy'] and loop.schedule.tasks_at(3) == ['hazy', 'rainy']


def test_stages_need_a_task_mixture_sampler():
    loop = loop_of(SequentialSampler([]))
    with pytest.raises(TypeError, match='sampler=dict\\(type="TaskMixtureSampler"\\)'):
        loop.follow(TaskSchedule(('hazy', 'rainy'), 'cumulative', 6))
