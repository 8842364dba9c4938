"""The design: arms, hypotheses and cells fit together, and every cell is a valid config."""

from collections import Counter

import pytest
from evidence.arms import (
    ARMS,
    COUNTS,
    GRADIENTS,
    INTERPOLATIONS,
    MATCHED,
    MISMATCHED,
    STEPS,
    UNSEEN_BY_ALL,
    swept,
)
from evidence.configs import config_of, hash_of
from evidence.hypotheses import GLOBALITY, HYPOTHESES
from evidence.matrix import Cell, all_cells
from evidence.results import ROOT
from evidence.studies import FINETUNING, PAIR, PRETRAINING, TASKS, Arm

from dtir_mm.config import read_config
from dtir_mm.matching.table4 import PAPER_TIMESTEPS


def config(name: str, task: str = 'rainy') -> dict:
    return config_of(Cell(ARMS[name], 0, task)).to_dict()


def test_arms_of_every_hypothesis_exist_for_its_tasks():
    for hypothesis in HYPOTHESES:
        for task in hypothesis.tasks:
            contrast = hypothesis.contrast_of(task)
            assert sum(contrast.values()) == pytest.approx(0), hypothesis.key
            assert all(task in ARMS[arm].tasks for arm in contrast), hypothesis.key
    numbers = {hypothesis.key.rstrip('abcdefg') for hypothesis in HYPOTHESES}
    assert numbers | {'H9'} == {f'H{number}' for number in range(1, 14)}
    assert len({hypothesis.key for hypothesis in HYPOTHESES}) == len(HYPOTHESES)


@pytest.mark.parametrize('arm', ['naive', 'scratch'])
def test_preset_best_is_what_was_measured(arm):
    """Steps and terms are those of the arm; data, updates and start are of the quickstart."""
    best = read_config(ROOT / 'configs/mini/quick_dtir-unet-w16_finetune_noisy_b8-1000.py')
    measured = config(arm, 'noisy')
    assert {**best.model.to_dict(), 'timesteps': 'paper'} == measured['model']
    assert best.optim_wrapper.to_dict() == measured['optim_wrapper']
    assert best.default_hooks.keys() == measured['default_hooks'].keys()


def test_main_arms_have_five_seeds_and_all_others_three():
    seeds = Counter((cell.study.name, cell.task) for cell in all_cells().values())
    main = ('scratch', 'scratch_long', 'naive', 'released', 'preprint')
    for task in ('rainy', 'low_light', 'noisy'):
        assert all(seeds[name, task] == 5 for name in main)
    assert all(
        seeds[name, 'all' if arm.unified else task] >= 3
        for name, arm in ARMS.items()
        for task in arm.tasks
    )


def test_what_a_cell_needs_comes_before_it():
    done = set()
    for key, cell in all_cells().items():
        assert key == cell.key
        assert set(cell.needs) <= done, key
        done.add(key)


def test_the_first_cells_are_those_of_the_first_question():
    first = [cell.study.name for cell in list(all_cells().values())[:7]]
    assert set(first) == {'scratch', 'scratch_long', 'vp', 've', 'naive', 'released', 'preprint'}


def test_updates_fit_into_sixteen_hours():
    updates = sum(getattr(cell.study, 'updates', 0) for cell in all_cells().values())
    assert updates < 900_000  # of 0.05 s, and 12 s for each start and test


@pytest.fixture(scope='module')
def hashes() -> dict[str, str]:
    """Of all cells, each built from a valid config."""
    return {key: hash_of(cell) for key, cell in all_cells().items()}


def test_hashes_differ_between_studies_and_not_between_seeds(hashes):
    studies = {(hashes[key], cell.study.name, cell.task) for key, cell in all_cells().items()}
    assert len(studies) == len(set(hashes.values()))


def test_arms_differ_in_what_their_names_say():
    naive, scratch = config('naive'), config('scratch')
    assert naive == scratch  # load_from is set when it is run
    longer = config('scratch_long')
    assert longer['train_cfg']['max_iters'] == PRETRAINING + FINETUNING
    preprint = config('preprint')['model']['step']
    assert preprint['objective']['losses']['fft'] is None
    assert preprint['mixing']['cap'] is None
    assert preprint['regularizers']['importance']['weight'] == 0.2
    assert config('naive_l1')['model']['step']['objective']['losses']['fft'] is None
    assert config('without_reg')['model']['step']['regularizers']['importance'] is None
    assert config('without_decay')['default_hooks']['layer_wise_decay'] is None
    assert config('mixing_40')['model']['step']['mixing']['ratio'] == 0.4
    assert config('l2sp')['model']['step']['regularizers']['importance']['form'] == 'l2sp'


def test_pairs_are_fixed_and_as_many_as_stated():
    for count, photos in COUNTS.items():
        pairs = config(f'naive_{count}')['train_dataloader']['dataset']
        assert (pairs['max_photos'], pairs['draws']) == (photos, 1)
    pairs = config('naive')['train_dataloader']['dataset']
    assert (pairs['max_photos'], pairs['draws']) == (16, 4)


def test_time_steps():
    assert config('naive')['model']['timesteps'] == 'paper'
    assert {task: PAPER_TIMESTEPS[task] for task in PAIR} == MATCHED
    for arm in MISMATCHED:
        (task,) = arm.tasks
        step = int(arm.options['model.timesteps'].removeprefix('fixed:'))
        assert abs(step - PAPER_TIMESTEPS[task]) >= 20
    for task in PAIR:
        for step in STEPS:
            assert task in ARMS[swept('naive', task, step)].tasks
    assert GLOBALITY.keys() == PAPER_TIMESTEPS.keys()


def test_tests_have_three_severities_and_no_validation():
    for name in ('scratch', 'released'):
        built = config(name)
        parts = built['test_dataloader']['dataset']['datasets']
        assert [part['type'] for part in parts] == [
            'DegradedPhotosDataset', 'CompositePhotosDataset',
        ]  # fmt: skip
        assert parts[0]['severities'] == ['source', 'target']
        assert all(part['folder'] == 'data/photos/test' for part in parts)
        assert built['val_dataloader'] is None


def test_masked_pretraining_sees_no_tested_degradation():
    masked = config_of(all_cells()['pretrain-masked_all_s0'])
    tasks = {part.task for part in masked.train_dataloader.dataset.datasets}
    assert tasks == set(UNSEEN_BY_ALL)
    assert tasks.isdisjoint({*TASKS, 'jpeg'})


def test_unified_networks_learn_the_four_tasks_for_as_many_updates():
    for name in ('joint', 'asc', 'desc', 'experts'):
        built = config_of(Cell(ARMS[name], 0))
        pairs = built.train_dataloader.dataset.datasets
        assert {part.task for part in pairs} == set(TASKS)
        assert built.train_cfg.max_iters == 4 * 600
        assert (built.model.backbone.adapters is None) == (name != 'experts')
    assert config_of(Cell(ARMS['desc'], 0)).default_hooks.incremental_tasks.order == 'desc'


def test_what_is_made_of_weights_starts_from_their_arm_and_its_pretraining():
    for study in (*INTERPOLATIONS.values(), *GRADIENTS.values()):
        cell = Cell(study, 1, 'rainy')
        arm = ARMS[study.arm]
        assert cell.needs == (f'pretrain-{arm.pretraining}_all_s1', f'{arm.name}_rainy_s1')
        assert isinstance(arm, Arm)
