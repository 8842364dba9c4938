"""Which time step a task gets, and invalid time steps."""

import json

import pytest
from mmengine.config import ConfigDict

from dtir_mm.matching.table4 import PAPER_TIMESTEPS
from dtir_mm.models.restorers.task_timesteps import TaskTimesteps


def test_paper_is_table_4():
    timesteps = TaskTimesteps('paper', 50)
    assert timesteps.by_task == PAPER_TIMESTEPS and timesteps['hazy'] == 47


@pytest.mark.parametrize('step', [1, 17, 50])
def test_one_step_for_every_task(step):
    timesteps = TaskTimesteps(f'fixed:{step}', 50)
    assert timesteps['rainy'] == step
    assert timesteps['a task of my own'] == step


@pytest.mark.parametrize('mapping', [dict, ConfigDict])
def test_a_dict_gives_the_time_steps(mapping):
    spec = mapping({'foggy': 1, 'rainy': 50})
    timesteps = TaskTimesteps(spec, 50)
    spec['foggy'] = 2
    assert (timesteps['foggy'], timesteps['rainy']) == (1, 50)


def test_a_file_of_matched_steps(tmp_path):
    path = tmp_path / 'matched.json'
    matches = {'rainy': {'t_mat': 9, 'interval': [7, 12]}, 'foggy': {'t_mat': 41}}
    path.write_text(json.dumps({'source': {'num_steps': 50}, 'tasks': matches}))
    timesteps = TaskTimesteps(str(path), 50)
    assert (timesteps['rainy'], timesteps['foggy']) == (9, 41)
    with pytest.raises(ValueError, match='was matched at T=50, but the schedule has T=40'):
        TaskTimesteps(str(path), 40)


@pytest.mark.parametrize('spec', ['table4', 'fixed:', 'fixed:-3', 'fixed:2.5', '8', ''])
def test_invalid_specs_are_rejected(spec):
    with pytest.raises(ValueError, match='must be "paper", "fixed:k"') as error:
        TaskTimesteps(spec, 50)
    assert repr(spec) in str(error.value)


@pytest.mark.parametrize(
    ('spec', 'named'),
    [
        ('fixed:0', 'fixed has t=0'),
        ('fixed:51', 'fixed has t=51'),
        ({'rainy': 8, 'foggy': 0}, 'foggy has t=0'),
        ({'foggy': 51}, 'foggy has t=51'),
        ({'foggy': 8.0}, 'foggy has t=8.0'),
        ({'foggy': '8'}, "foggy has t='8'"),
    ],
)
def test_steps_outside_the_schedule_are_rejected(spec, named):
    with pytest.raises(ValueError, match=f'{named}; it must lie in 1..50'):
        TaskTimesteps(spec, 50)


def test_table_4_requires_its_number_of_steps():
    for num_steps in (20, 100):
        timesteps = TaskTimesteps('paper', num_steps)  # pre-training needs none
        with pytest.raises(KeyError, match=r'known for no task \(Table 4 is for T=50\)\. Match it'):
            timesteps['rainy']


def test_an_unknown_task_lists_the_known_ones():
    timesteps = TaskTimesteps({'rainy': 8, 'hazy': 47}, 50)
    with pytest.raises(KeyError) as error:
        timesteps['foggy']
    message = str(error.value)
    assert 'unknown task' in message and 'foggy' in message
    assert 'rainy (t=8), hazy (t=47)' in message
    assert 'timesteps=dict(foggy=t)' in message
