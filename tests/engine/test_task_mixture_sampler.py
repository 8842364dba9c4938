"""Which samples the task mixture sampler draws."""

import itertools
import math
from collections import Counter

import pytest

from dtir_mm.datasets import TaskMixtureDataset
from dtir_mm.datasets.base_dataset import RestorationDataset, SampleKey
from dtir_mm.engine import task_mixture_sampler
from dtir_mm.engine.task_mixture_sampler import TaskMixtureSampler
from dtir_mm.engine.task_schedule import TaskSchedule
from dtir_mm.registry import DATASETS

SIZES = dict(a=3, b=11, c=5)


@DATASETS.register_module()
class NumberedDataset(RestorationDataset):
    """Samples with their task, or tasks in turn, and their number."""

    def __init__(self, tasks: str, size: int) -> None:
        super().__init__([])
        self.names = tasks.split('+') if tasks else []
        self.size = size

    @property
    def tasks(self) -> list[str]:
        return self.names

    def __len__(self) -> int:
        return self.size

    def load(self, index: int) -> dict:
        return {'task': self.names[index % len(self.names)], 'number': index}


def mixture(*parts: tuple[str, int]) -> TaskMixtureDataset:
    return TaskMixtureDataset(
        [dict(type='NumberedDataset', tasks=task, size=size) for task, size in parts]
    )


@pytest.fixture
def dataset() -> TaskMixtureDataset:
    return mixture(*SIZES.items())


def sampler_of(
    dataset: TaskMixtureDataset, batch: int = 8, data: str | None = None, **settings
) -> TaskMixtureSampler:
    """A sampler; with ``data``, over three stages of 100 updates."""
    sampler = TaskMixtureSampler(dataset, **{'seed': 3, 'batch_size': batch, **settings})
    if data is not None:
        sampler.schedule = TaskSchedule(('a', 'b', 'c'), data, 300)
    return sampler


def batches(sampler: TaskMixtureSampler, number: int) -> list[list[SampleKey]]:
    keys = list(itertools.islice(iter(sampler), number * sampler.batch_size))
    return [keys[i : i + sampler.batch_size] for i in range(0, len(keys), sampler.batch_size)]


@pytest.mark.parametrize(
    ('data', 'shares'),
    [
        (None, [dict(a=1 / 3, b=1 / 3, c=1 / 3)] * 3),
        ('cumulative', [dict(a=1), dict(a=1 / 2, b=1 / 2), dict(a=1 / 3, b=1 / 3, c=1 / 3)]),
        ('sequential', [dict(a=1), dict(b=1), dict(c=1)]),
        ('replay:0.3', [dict(a=1), dict(a=0.3, b=0.7), dict(a=0.15, b=0.15, c=0.7)]),
        ('joint', [dict(a=1 / 3, b=1 / 3, c=1 / 3)] * 3),
    ],
)
@pytest.mark.parametrize('batch', [1, 7, 8])
def test_each_batch_has_the_share_of_each_task_to_within_one_sample(dataset, data, shares, batch):
    sampler = sampler_of(dataset, batch, data)
    drawn = batches(sampler, 300)
    totals = [Counter() for _ in range(3)]
    for i, keys in enumerate(drawn):
        counts = Counter(dataset[key]['task'] for key in keys)
        assert set(counts) <= set(shares[i // 100])
        assert sampler.schedule.tasks_at(i) == list(shares[i // 100])
        for task, share in shares[i // 100].items():
            exact = batch * share
            assert math.floor(exact + 1e-9) <= counts[task] <= math.ceil(exact - 1e-9), (i, task)
        totals[i // 100].update(counts)
    for counts, share in zip(totals, shares, strict=True):  # rounding is unbiased
        for task, part in share.items():
            assert abs(counts[task] / (100 * batch) - part) < 5 * 0.5 / math.sqrt(100) / batch


@pytest.mark.parametrize(
    ('data', 'shares'),
    [
        (None, [dict(a=3 / 19, b=11 / 19, c=5 / 19)] * 3),
        ('cumulative', [dict(a=1), dict(a=3 / 14, b=11 / 14), dict(a=3 / 19, b=11 / 19, c=5 / 19)]),
        ('sequential', [dict(a=1), dict(b=1), dict(c=1)]),
        # 15, 15 and 70 % times the sizes 3, 11 and 5
        ('replay:0.3', [dict(a=1), dict(a=0.9 / 8.6, b=7.7 / 8.6),
                        dict(a=0.45 / 5.6, b=1.65 / 5.6, c=3.5 / 5.6)]),
    ],
)  # fmt: skip
def test_shares_by_size_equal_those_of_concatenated_data_sets(dataset, data, shares):
    drawn = batches(sampler_of(dataset, 8, data, shares='size'), 300)
    for stage, share in enumerate(shares):
        keys = [key for batch in drawn[100 * stage : 100 * (stage + 1)] for key in batch]
        counts = Counter(dataset[key]['task'] for key in keys)
        assert set(counts) == set(share)
        for task, part in share.items():
            assert abs(counts[task] / 800 - part) < 5 * 0.5 / math.sqrt(100) / 8, (stage, task)
    for batch in drawn[200:]:  # each batch to within one sample
        counts = Counter(dataset[key]['task'] for key in batch)
        assert all(abs(counts[task] - 8 * part) < 1 for task, part in shares[2].items())
    if data is None:  # all samples are drawn equally often
        of_each = Counter(key.index for batch in drawn for key in batch)
        assert all(abs(of_each[i] - 2400 / 19) < 5 * math.sqrt(2400 / 19) for i in range(19))


def test_unknown_shares_are_rejected(dataset):
    with pytest.raises(ValueError, match="shares='big' of TaskMixtureSampler must be"):
        sampler_of(dataset, shares='big')


def test_every_slot_draws_equally_from_all_tasks(dataset):
    """The first slots are the generative samples."""
    counts = [Counter() for _ in range(8)]
    for keys in batches(sampler_of(dataset), 1200):
        for slot, key in enumerate(keys):
            counts[slot][dataset[key]['task']] += 1
    for slot in range(8):
        for task in SIZES:  # 400 +- 16 expected
            assert abs(counts[slot][task] - 400) < 5 * 16, (slot, task)


def test_keys_have_seed_iteration_and_slot(dataset):
    sampler = sampler_of(dataset, 4)
    sampler.start_iteration = 7
    for i, keys in enumerate(batches(sampler, 5)):
        assert [key[:3] for key in keys] == [(3, 7 + i, slot) for slot in range(4)]


def test_two_processes_together_draw_the_batch_of_one(dataset, monkeypatch):
    whole = batches(sampler_of(dataset, 8, 'cumulative'), 300)
    halves = []
    monkeypatch.setattr(task_mixture_sampler, 'get_world_size', lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(task_mixture_sampler, 'get_rank', lambda rank=rank: rank)
        halves.append(batches(sampler_of(dataset, 4, 'cumulative'), 300))
    assert [first + second for first, second in zip(*halves, strict=True)] == whole
    # One process alone may lack a task.
    alone = [Counter(dataset[key]['task'] for key in keys) for keys in halves[0][200:]]
    assert min(counts[task] for counts in alone for task in SIZES) == 0


@pytest.mark.parametrize('data', [None, 'cumulative', 'replay:0.3'])
@pytest.mark.parametrize('start', [1, 99, 100, 150, 250])
def test_starting_later_draws_the_same_samples(dataset, data, start):
    whole = batches(sampler_of(dataset, 5, data), start + 60)
    later = sampler_of(dataset, 5, data)
    later.start_iteration = start
    assert batches(later, 60) == whole[start:]


def test_the_seed_determines_the_samples(dataset):
    def drawn(seed: int | None) -> list[list[SampleKey]]:
        return batches(sampler_of(dataset, seed=seed), 20)

    assert drawn(3) == drawn(3)
    assert [k.index for keys in drawn(3) for k in keys] != [k.index for b in drawn(4) for k in b]
    assert drawn(None) == drawn(0)


def test_data_sets_of_the_same_task_are_pooled():
    dataset = mixture(('a', 2), ('b', 3), ('a', 4))
    assert dataset.tasks == ['a', 'b']
    assert {task: own.tolist() for task, own in dataset.indices.items()} == {
        'a': [0, 1, 5, 6, 7, 8],
        'b': [2, 3, 4],
    }
    counts = Counter()
    for keys in batches(sampler_of(dataset), 500):
        assert Counter(dataset[key]['task'] for key in keys) == dict(a=4, b=4)
        counts.update(key.index for key in keys)
    for index in range(9):
        expected = 2000 / (3 if index in (2, 3, 4) else 6)
        assert abs(counts[index] - expected) < 5 * math.sqrt(expected)


@pytest.mark.parametrize(('tasks', 'named'), [('b+c', r"\['b', 'c'\]"), ('', r'\[\]')])
def test_a_data_set_without_exactly_one_task_is_rejected(tasks, named):
    message = rf'datasets\[1\] of TaskMixtureDataset has the tasks {named}.*exactly one'
    with pytest.raises(ValueError, match=message):
        mixture(('a', 2), (tasks, 4))
