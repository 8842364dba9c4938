"""Figures 3b to 3d, 4 and 8: lines, marks, and runs that are no sweep."""

from pathlib import Path

import pytest
from mmengine.config import Config
from paper_ablations import SWEEPS as PAPER_SWEEPS
from paper_ablations import UNIFIED_SWEEPS

from dtir_mm.analysis.figures.sweeps import SWEEPS, sweep_figure
from dtir_mm.analysis.run_files import read_runs

ROOT = Path(__file__).resolve().parents[3]

LABELS = {
    'timestep': 'time step t',
    'depth': 'share of depth trained to generate',
    'share': 'share of generative samples',
    'lambda': r'weight $\lambda$ of $L_\mathrm{reg}$ (log scale)',
    'decay': 'decay rate a (log scale)',
    'experts': r'experts $N_E$',
}


def config_with(key: str, value: object, seed: int = 0, lr: float = 0.1) -> dict:
    """A config in which ``key`` is set."""
    config: dict = {
        'model': {'timesteps': 'paper'},
        'optim_wrapper': {'optimizer': {'lr': lr}},
        'randomness': {'seed': seed},
        'work_dir': f'work_dirs/{value}_{seed}',
        'val_dataloader': {'batch_size': seed},
    }
    part = config
    *above, last = key.split('.')
    for name in above:
        part = part.setdefault(name, {})
    part[last] = value
    return config


def images(psnr: float, task: str = 'rainy') -> list:
    """Two images a domain; the unseen ones are 5 dB worse."""
    return [
        (task, domain, 20.0, psnr + shift - 5 * (domain == 'target'))
        for domain in ('source', 'target')
        for shift in (-1, 1)
    ]


def lines_of(axes) -> tuple[dict, dict]:
    """Points of the lines by task, and the marks, which have no label."""
    lines = [line for line in axes.lines if not line.get_label().startswith('_')]
    marks = [line for line in axes.lines if line.get_label().startswith('_')]
    named = {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in lines}
    return named, {
        line.get_label(): sorted(zip(*mark.get_data(), strict=True))
        for line, mark in zip(lines, marks, strict=True)
    }


@pytest.mark.parametrize('name', SWEEPS)
def test_a_line_runs_through_means_and_every_run_is_a_mark(write_test, name):
    key = SWEEPS[name].key
    psnr = {(20, 0): 25.0, (20, 1): 27.0, (5, 0): 24.0, (50, 0): 22.0}
    for (value, seed), level in psnr.items():
        stated = f'fixed:{value}' if name == 'timestep' else value
        config = config_with(key, stated, seed)
        write_test(f'{value}_{seed}', images(level), config=config, rainy=value)
        noisy = images(level - 10, 'noisy')
        folder = write_test(f'n{value}_{seed}', noisy, config=config, noisy=value)
    drawn = sweep_figure(SWEEPS[name], read_runs([folder]))
    assert drawn.notes == [], 'other seeds and work directories are fine'
    assert [axes.get_title() for axes in drawn.figure.axes] == ['source', 'unseen (target)']
    for axes, lower in zip(drawn.figure.axes, (0, 5), strict=True):
        lines, marks = lines_of(axes)
        means = [(5, 24 - lower), (20, 26 - lower), (50, 22 - lower)]
        assert lines == {'rainy': means, 'noisy': [(x, y - 10) for x, y in means]}
        every = sorted((value, level - lower) for (value, _), level in psnr.items())
        assert marks == {'rainy': every, 'noisy': [(x, y - 10) for x, y in every]}
        assert axes.get_xlabel() == LABELS[name]
        assert axes.get_xscale() == ('log' if name in ('lambda', 'decay') else 'linear')
    styles = {
        (line.get_linestyle(), line.get_marker())
        for line in drawn.figure.axes[0].lines
        if not line.get_label().startswith('_')
    }
    assert len(styles) == 2 and len({mark for _, mark in styles}) == 2


def test_a_value_of_zero_needs_a_linear_axis(write_test):
    sweep = SWEEPS['lambda']
    for value in (0.0, 0.2):
        folder = write_test(str(value), images(25), config=config_with(sweep.key, value))
    figure = sweep_figure(sweep, read_runs([folder])).figure
    assert {axes.get_xscale() for axes in figure.axes} == {'linear'}
    assert not any('log' in axes.get_xlabel() for axes in figure.axes)


@pytest.mark.parametrize(('name', 'values'), [('experts', (1, 5, 10, 20)), ('lambda', (0.05, 0.2))])
def test_every_value_has_a_tick(write_test, name, values):
    for value in values:
        config = config_with(SWEEPS[name].key, value)
        folder = write_test(str(value), images(25), config=config)
    for axes in sweep_figure(SWEEPS[name], read_runs([folder])).figure.axes:
        assert tuple(axes.get_xticks()) == values
        assert [text.get_text() for text in axes.get_xticklabels()] == [str(v) for v in values]


def test_runs_that_differ_in_more_are_named(write_test):
    sweep = SWEEPS['share']
    for value, lr in ((0.1, 0.1), (0.2, 0.1), (0.4, 0.3)):
        config = config_with(sweep.key, value, lr=lr)
        folder = write_test(f'r{value}', images(25), config=config)
    assert sweep_figure(sweep, read_runs([folder])).notes == [
        'r0.4/test differs from r0.1/test in more than model.step.mixing.ratio: '
        'optim_wrapper.optimizer.lr 0.1 -> 0.3'
    ]


def test_a_task_of_its_own_settings_is_compared_only_with_itself(write_test):
    sweep = SWEEPS['share']
    for task, lr in (('rainy', 0.1), ('noisy', 0.3)):
        for value in (0.1, 0.2):
            config = config_with(sweep.key, value, lr=lr)
            folder = write_test(f'{task}{value}', images(25, task), config=config)
    assert sweep_figure(sweep, read_runs([folder])).notes == []


def test_equal_values_are_an_error_that_names_them(write_test):
    sweep = SWEEPS['depth']
    for seed in (0, 1):
        config = config_with(sweep.key, 0.5, seed)
        folder = write_test(f's{seed}', images(25 + seed), config=config)
    said = (
        r'must differ in default_hooks\.layer_wise_decay\.fraction, but the values are '
        r'0\.5 \(rainy, s0/test\), 0\.5 \(rainy, s1/test\)$'
    )
    with pytest.raises(ValueError, match=said):
        sweep_figure(sweep, read_runs([folder]))


@pytest.mark.parametrize('value', [None, 'cut', True])
def test_a_setting_that_is_no_number_is_an_error(write_test, value):
    sweep = SWEEPS['depth']
    write_test('a', images(25), config=config_with(sweep.key, 0.5))
    folder = write_test('b', images(25), config=config_with(sweep.key, value))
    with pytest.raises(ValueError, match=rf'b/test: .*fraction of its config is {value!r}'):
        sweep_figure(sweep, read_runs([folder]))


@pytest.mark.parametrize('config', [None, 'model = dict()'])
def test_a_summary_without_a_config_asks_to_repeat_the_test(write_test, config):
    folder = write_test('old', images(25), config=config)
    with pytest.raises(ValueError, match=r'old/test/summary\.json does not have .* repeat the te'):
        sweep_figure(SWEEPS['share'], read_runs([folder]))


def test_the_keys_are_those_of_the_sweeps_and_of_the_configs():
    paper = {key for key, _ in (PAPER_SWEEPS | UNIFIED_SWEEPS).values()}
    assert all(any(sweep.key.startswith(key) for key in paper) for sweep in SWEEPS.values())
    mini = ROOT / 'configs' / 'mini'
    configs = [
        Config.fromfile(mini / 'quick-paper_dtir-unet-w16_finetune_noisy_b8-1000.py'),
        Config.fromfile(mini / 'unified_dtir-unet-w16_b8-10x300.py'),
    ]
    for name, sweep in SWEEPS.items():
        key = sweep.key.removesuffix('.fraction')  # None by default
        assert any(config.get(key) is not None or _has(config, key) for config in configs), name


def _has(config: Config, key: str) -> bool:
    part = config
    for name in key.split('.'):
        if name not in part:
            return False
        part = part[name]
    return True
