"""Orders, stages and shares against tables written out by hand."""

import itertools
import re

import pytest

from dtir_mm.engine.task_schedule import TaskSchedule, task_order

STEPS = dict(hazy=47, noisy=4, low_light=38, rainy=8)
ASCENDING = ['noisy', 'rainy', 'low_light', 'hazy']
THIRD = pytest.approx(1 / 3)


def test_ascending_is_the_order_of_the_time_steps_and_descending_its_reverse():
    assert task_order(STEPS, 'asc', 0) == ASCENDING
    assert task_order(STEPS, 'desc', 0) == ASCENDING[::-1]


def test_tasks_of_one_step_stand_in_alphabetical_order_whatever_order_they_come_in():
    for tasks in itertools.permutations(['b', 'a', 'z', 'c']):
        steps = {task: 3 if task == 'z' else 7 for task in tasks}
        assert task_order(steps, 'asc', 0) == ['z', 'a', 'b', 'c']
        assert task_order(steps, 'desc', 0) == ['c', 'b', 'a', 'z']


def test_an_order_of_the_users_own_is_taken_as_it_is():
    own = ('low_light', 'noisy', 'hazy', 'rainy')
    assert task_order(STEPS, own, 0) == list(own)
    assert task_order(STEPS, list(own), 5) == list(own)


def test_a_random_order_is_a_function_of_the_seed_alone():
    orders = [task_order(STEPS, 'random', seed) for seed in range(200)]
    backwards = dict(reversed(STEPS.items()))
    assert orders == [task_order(backwards, 'random', seed) for seed in range(200)]
    assert all(sorted(order) == sorted(STEPS) for order in orders)
    assert len({tuple(order) for order in orders}) == 24  # all there are
    for place, task in itertools.product(range(4), STEPS):  # 50 +- 6 expected
        assert 25 < sum(order[place] == task for order in orders) < 75


@pytest.mark.parametrize('order', ['ascending', '', 'noisy'])
def test_an_unknown_order_gets_the_known_ones(order):
    with pytest.raises(ValueError) as error:
        task_order(STEPS, order, 0)
    assert str(error.value) == (
        f"order={order!r} must be one of ('asc', 'desc', 'random'), or a list of tasks"
    )


@pytest.mark.parametrize(
    'order', [['noisy'], [*ASCENDING, 'foggy'], [*ASCENDING, 'noisy'], ['foggy', *ASCENDING[1:]]]
)
def test_an_order_of_other_tasks_gets_the_tasks(order):
    named = f'order={order} must name each of the tasks noisy, rainy, low_light, hazy once'
    with pytest.raises(ValueError, match=re.escape(named)):
        task_order(STEPS, order, 0)


# --- stages and shares ------------------------------------------------------------------------

SHARES = {  # of three stages
    'cumulative': [dict(a=1), dict(a=0.5, b=0.5), dict(a=THIRD, b=THIRD, c=THIRD)],
    'sequential': [dict(a=1), dict(b=1), dict(c=1)],
    'replay:0.3': [dict(a=1), dict(a=0.3, b=0.7), dict(a=0.15, b=0.15, c=pytest.approx(0.7))],
    'replay:0.75': [dict(a=1), dict(a=0.75, b=0.25), dict(a=0.375, b=0.375, c=0.25)],
}


@pytest.mark.parametrize('data', SHARES)
def test_every_iteration_has_the_shares_of_its_stage(data):
    schedule = TaskSchedule(('a', 'b', 'c'), data, 12)
    assert (schedule.num_stages, schedule.stage_length) == (3, 4)
    assert [schedule.stage_of(i) for i in range(12)] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    for i in range(12):
        assert schedule.weights(i) == SHARES[data][i // 4]
        assert list(schedule.weights(i)) == list(SHARES[data][i // 4])  # in order of joining
        assert sum(schedule.weights(i).values()) == pytest.approx(1)


def test_joint_is_one_stage_of_all_tasks_of_as_many_updates_in_all():
    joint = TaskSchedule(('a', 'b', 'c'), 'joint', 12)
    assert (joint.num_stages, joint.stage_length) == (1, 12)
    for i in range(12):
        assert joint.stage_of(i) == 0
        assert joint.weights(i) == dict(a=THIRD, b=THIRD, c=THIRD)
    parts = TaskSchedule(('a', 'b', 'c'), 'cumulative', 12)
    assert joint.stage_length == parts.num_stages * parts.stage_length
    assert TaskSchedule(('a', 'b', 'c'), 'joint', 13).stage_length == 13  # nothing to divide


@pytest.mark.parametrize('data', [*SHARES, 'joint'])
def test_behind_the_end_the_last_stage_goes_on(data):
    schedule = TaskSchedule(('a', 'b', 'c'), data, 12)
    for late in (12, 13, 1000):
        assert schedule.stage_of(late) == schedule.stage_of(11)
        assert schedule.weights(late) == schedule.weights(11)


@pytest.mark.parametrize('data', ['cumulative', 'sequential', 'replay:0.5', 'joint'])
def test_a_single_task_has_all_samples(data):
    schedule = TaskSchedule(('a',), data, 5)
    assert [schedule.weights(i) for i in range(5)] == [dict(a=1)] * 5


@pytest.mark.parametrize(
    'data',
    ['replay:1.5', 'replay:0', 'replay:1', 'replay:-0.1', 'replay:nan', 'replay:', 'replay',
     'replay:q', 'rehearse:0.5', 'all', '', '0.5'],
)  # fmt: skip
def test_other_data_is_refused_whatever_the_stages(data):
    for order in (('a',), ('a', 'b')):
        with pytest.raises(ValueError) as error:
            TaskSchedule(order, data, 4)
        assert f'data={data!r} must be one of cumulative, sequential, replay:q, joint' in str(
            error.value
        )
        assert '0 < q < 1' in str(error.value)


@pytest.mark.parametrize('data', SHARES)
def test_stages_of_different_lengths_are_refused(data):
    with pytest.raises(ValueError) as error:
        TaskSchedule(('a', 'b', 'c'), data, 13)
    assert str(error.value) == (
        'train_cfg.max_iters=13 must be a multiple of the 3 stages of a, b, c'
    )
