"""Orders, stages and shares of tasks."""

import itertools
import re

import pytest

from dtir_mm.engine.task_schedule import TaskSchedule, task_order

STEPS = dict(hazy=47, noisy=4, low_light=38, rainy=8)
ASCENDING = ['noisy', 'rainy', 'low_light', 'hazy']
THIRD = pytest.approx(1 / 3)


def test_ascending_and_descending_orders_follow_the_time_steps():
    assert task_order(STEPS, 'asc', 0) == ASCENDING
    assert task_order(STEPS, 'desc', 0) == ASCENDING[::-1]


def test_tasks_with_equal_time_steps_are_in_alphabetical_order():
    for tasks in itertools.permutations(['b', 'a', 'z', 'c']):
        steps = {task: 3 if task == 'z' else 7 for task in tasks}
        assert task_order(steps, 'asc', 0) == ['z', 'a', 'b', 'c']
        assert task_order(steps, 'desc', 0) == ['c', 'b', 'a', 'z']


def test_a_list_is_used_as_the_order():
    own = ('low_light', 'noisy', 'hazy', 'rainy')
    assert task_order(STEPS, own, 0) == list(own)
    assert task_order(STEPS, list(own), 5) == list(own)


def test_a_random_order_depends_only_on_the_seed():
    orders = [task_order(STEPS, 'random', seed) for seed in range(200)]
    backwards = dict(reversed(STEPS.items()))
    assert orders == [task_order(backwards, 'random', seed) for seed in range(200)]
    assert all(sorted(order) == sorted(STEPS) for order in orders)
    assert len({tuple(order) for order in orders}) == 24  # all permutations
    for place, task in itertools.product(range(4), STEPS):  # 50 +- 6 expected
        assert 25 < sum(order[place] == task for order in orders) < 75


@pytest.mark.parametrize(
    ('order', 'message'),
    [
        *[
            (order, f"order={order!r} must be one of ('asc', 'desc', 'random'), or a list of tasks")
            for order in ('ascending', '', 'noisy')
        ],
        *[
            (order, f'order={order} must name each of the tasks noisy, rainy, low_light, hazy once')
            for order in (
                ['noisy'],
                [*ASCENDING, 'foggy'],
                [*ASCENDING, 'noisy'],
                ['foggy', *ASCENDING[1:]],
            )
        ],
    ],
)
def test_unknown_orders_and_tasks_are_rejected(order, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        task_order(STEPS, order, 0)


SHARES = {  # by stage
    'joint': [dict(a=THIRD, b=THIRD, c=THIRD)],
    'cumulative': [dict(a=1), dict(a=0.5, b=0.5), dict(a=THIRD, b=THIRD, c=THIRD)],
    'sequential': [dict(a=1), dict(b=1), dict(c=1)],
    'replay:0.3': [dict(a=1), dict(a=0.3, b=0.7), dict(a=0.15, b=0.15, c=pytest.approx(0.7))],
    'replay:0.75': [dict(a=1), dict(a=0.75, b=0.25), dict(a=0.375, b=0.375, c=0.25)],
}


@pytest.mark.parametrize('data', SHARES)
def test_every_update_has_the_shares_of_its_stage(data):
    schedule = TaskSchedule(('a', 'b', 'c'), data, 12)
    length = 12 // len(SHARES[data])
    assert (schedule.num_stages, schedule.stage_length) == (len(SHARES[data]), length)
    for i in range(12):
        assert schedule.stage_of(i) == i // length
        assert schedule.weights(i) == SHARES[data][i // length]
        assert list(schedule.weights(i)) == list(SHARES[data][i // length])  # in order
        assert sum(schedule.weights(i).values()) == pytest.approx(1)
    for late in (12, 13, 1000):
        assert schedule.stage_of(late) == schedule.stage_of(11)
        assert schedule.weights(late) == schedule.weights(11)


@pytest.mark.parametrize('data', SHARES)
def test_a_single_task_has_all_samples(data):
    schedule = TaskSchedule(('a',), data, 5)
    assert [schedule.weights(i) for i in range(5)] == [dict(a=1)] * 5


@pytest.mark.parametrize(
    'data',
    ['replay:1.5', 'replay:0', 'replay:1', 'replay:-0.1', 'replay:nan', 'replay:', 'replay',
     'replay:q', 'rehearse:0.5', 'all', '', '0.5'],
)  # fmt: skip
def test_unknown_data_is_rejected(data):
    message = f'data={data!r} must be one of cumulative, sequential, replay:q, joint'
    for order in (('a',), ('a', 'b')):
        with pytest.raises(ValueError, match=f'{re.escape(message)}.*0 < q < 1'):
            TaskSchedule(order, data, 4)


@pytest.mark.parametrize('data', [data for data in SHARES if data != 'joint'])
def test_stages_of_different_lengths_are_rejected(data):
    assert TaskSchedule(('a', 'b', 'c'), 'joint', 13).stage_length == 13
    message = 'train_cfg.max_iters=13 must be a multiple of the 3 stages of a, b, c'
    with pytest.raises(ValueError, match=f'^{message}$'):
        TaskSchedule(('a', 'b', 'c'), data, 13)
