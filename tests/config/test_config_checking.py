"""Unknown keys are rejected with the nearest known one; all configs of the repository pass."""

import re
import sys
import warnings
from pathlib import Path

import pytest
from mmengine.config import Config

from dtir_mm.config import check_config, read_config, require_parts
from dtir_mm.registry import RUNNERS

sys.path.insert(0, str(Path(__file__).parents[1] / 'configs'))
from leaves import EXAMPLES, LEAVES, load


@pytest.mark.parametrize('path', [p for p in LEAVES if EXAMPLES not in p.parents], ids=str)
def test_every_config_of_the_repository_passes_without_a_warning(path):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        check_config(load(path))


@pytest.mark.parametrize(
    ('more', 'said'),
    [
        ("load_form = 'work_dirs/pretrain'", 'load_form: nothing reads this key of the config; ne'
         'arest: load_from'),
        ("precison = 'bf16'", 'nearest: precision'),
        ('sync_bn = True', 'sync_bn: nothing reads this key'),
        ('model.update(tlie=32)', 'model.tlie is no key of Restorer; nearest: tile'),
        ('randomness = dict(sed=3)', 'randomness.sed is no key of set_randomness; nearest: seed'),
        ('env_cfg = dict(cudnn_benchmrak=True)', 'nearest: cudnn_benchmark'),
        ('env_cfg = dict(mp_cfg=dict(start=1))', 'env_cfg.mp_cfg.start is no key'),
        ('auto_scale_lr = dict(base_batchsize=8)', 'nearest: base_batch_size'),
        ('train_cfg.update(max_iter=9)', 'nearest: max_iters'),
        ('train_cfg.update(max_iters="9")', "train_cfg.max_iters='9' must be an integer"),
        ('default_hooks.update(chekpoint=dict(interval=9))', 'default_hooks.chekpoint must name '
         'its "type"; nearest: checkpoint'),
        ('default_hooks.update(loger=None)', 'loger=None switches nothing off; nearest: logger'),
        ('default_hooks.update(checkpoint=dict(type="RestorationCheckpointHook", intervall=9))',
         'default_hooks.checkpoint.intervall is no key of RestorationCheckpointHook; nearest: in'),
        ('model["step"]["regularizers"].update(x=dict(type="GradientProjection", a=1))',
         'model.step.regularizers.x.a is no key of GradientProjection; it takes none'),
        ('model["step"].update(mixng=None)', 'model.step.mixng is no key of TrainingStep'),
        ('model.update(schedule=dict(type="VarianceExplodin"))', 'VarianceExploding'),
        ('model.update(tile="big")', "model.tile='big' must be an integer or None"),
        ('model.update(type=3)', 'model.type=3 must be a registered name'),
        ('randomness = 3', 'randomness=3 must be a dict'),
        ('model.update(ensemble=1)', 'model.ensemble=1 must be True or False'),
        ('optim_wrapper = dict(paramwise_cfg=dict(norm_decay=0))', 'nearest: norm_decay_mult'),
        ('optim_wrapper = dict(optimizer=dict(learning_rate=1))', 'optimizer.learning_rate is no '
         'key of Adam'),
        ('optim_wrapper = dict(optimizer=dict(lr="abc"))', "optim_wrapper.optimizer.lr='abc' must "
         'be a number'),
        ('optim_wrapper = dict(optimizer=dict(betas=0.9))', 'optimizer.betas=0.9 must be a list'),
        ('optim_wrapper = dict(optimizer=dict(lr=None))', 'optimizer.lr=None must be a number'),
        ('optim_wrapper = dict(type="AmpOptimWrapper")', 'is not supported: set precision="bf16"'),
        ('randomness = dict(seed="x")', "randomness.seed='x' must be an integer or None"),
        ('randomness = dict(seed=1.5)', 'randomness.seed=1.5 must be an integer or None'),
        ('train_dataloader.update(num_workers="all")', "num_workers='all' must be a number"),
        ('log_processor = dict(windowsize=9)', 'nearest: window_size'),
        ('test_evaluator.update(protocl="rgb")', 'nearest: protocol'),
        ('train_dataloader.update(batchsize=2)', 'nearest: batch_size'),
        ('train_dataloader["dataset"].update(sourc="x")', 'train_dataloader.dataset.sourc is no'),
        ("load_from = ['a', 'b']", "load_from=['a', 'b'] must be a string or None"),
        ('custom_hooks = [dict(type="PlateauHook", windw=3)]', 'custom_hooks.0.windw'),
    ],
)  # fmt: skip
def test_unknown_keys_and_invalid_values_are_rejected(toy_config, more, said):
    """By ``read_config``, and by ``RUNNERS.build`` before it creates the work directory."""
    text = f'\nenv_cfg = randomness = dict()\n{more}\n' if 'cfg = ' in more else f'\n{more}\n'
    path = toy_config('finetune', text)
    with pytest.raises(ValueError) as error:
        read_config(path)
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    config = Config.fromfile(path, import_custom_modules=False)
    config.work_dir = str(path.parent / 'run')
    with pytest.raises(ValueError) as again:
        RUNNERS.build(config)
    assert str(again.value) == str(error.value)
    assert not (path.parent / 'run').exists()


@pytest.mark.parametrize(
    'more',
    [
        'width = 8\nmodel["backbone"]["backbone"]["width"] = width',
        '_note = "whatever"',
        'models = dict(tile=64)\nmodel.update(models)',
        'model["step"].update(regularizers=dict(mine=dict(type="GradientProjection")))',
        'default_hooks.update(mine=dict(type="PlateauHook", priority="LOW"), plateau=None)',
        'optim_wrapper = dict(clip_grad=dict(max_norm=1.0), paramwise_cfg=dict(custom_keys='
        'dict(backbone=dict(lr_mult=0.1))))',
        'model.update(schedule=dict(type="VarianceExploding"), tile=64, ensemble=True)',
        'optim_wrapper = dict(type="OptimWrapper", accumulative_counts=1)',
    ],
)
def test_valid_changes_pass(toy_config, more):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        read_config(toy_config('finetune', f'\n{more}\n'))


def test_unused_variables_are_accepted_only_in_bases(toy_config, tmp_path):
    base = toy_config('pretrain', '\nwidth = 8\n')
    leaf = tmp_path / 'leaf.py'
    leaf.write_text(f"_base_ = '{base}'\nmodel = dict(tile=_base_.width * 16)\n")
    assert read_config(leaf).model.tile == 128
    leaf.write_text(f"_base_ = '{base}'\nwidth = 16\nmodel = dict(tile=_base_.width * 16)\n")
    with pytest.raises(ValueError, match='^width: nothing reads'):  # not in a base
        read_config(leaf)


def test_a_dumped_config_passes_with_a_warning(toy_config, tmp_path):
    config = Config.fromfile(toy_config('finetune'))
    config.widths = [8, 16]
    config.dump(tmp_path / 'dumped.py')
    with pytest.warns(UserWarning, match='nothing reads these keys of the config:.*widths'):
        read_config(tmp_path / 'dumped.py')


def test_former_names_are_rejected_with_the_new_ones(toy_config):
    old = "\nval_evaluator = [dict(type='MeanMetric', names=['held_out_noise'])]\n"
    said = "val_evaluator.0.names.0='held_out_noise': it is now 'val_noise_loss'"
    with pytest.raises(ValueError, match=re.escape(said)):
        read_config(toy_config('pretrain', old))


def test_two_batch_sizes_are_rejected(toy_config):
    both = '\nglobal_batch_size = 16\n'  # beside the toy's train_dataloader.batch_size
    with pytest.raises(ValueError, match='batch_size=4 and global_batch_size=16 are both set'):
        read_config(toy_config('pretrain', both))
    assert read_config(toy_config('pretrain', both), ['global_batch_size=None'])


def test_many_errors_take_three_lines(toy_config):
    path = toy_config(
        'finetune', '\nmodel.update(tlie=1, ensmble=True, tile_overlp=3, passs="one")\n'
    )
    with pytest.raises(ValueError) as error:
        read_config(path)
    first, *others = str(error.value).splitlines()
    assert first.startswith('4 errors in the config') and len(others) == 2
    assert all('nearest:' in line for line in others)


def test_variables_cannot_be_overridden(toy_config):
    """It would have no effect, because the config has already used them."""
    text = '\nwidth = 8\nmodel["backbone"]["backbone"]["width"] = width\n'
    path = toy_config('finetune', text)
    for option, said in (
        ('width=32', 'nothing reads width'),
        ('modle.tile=32', 'nothing reads modle; nearest: model'),
        ('model.tlie=32', 'model.tlie is no key of Restorer; nearest: tile'),
        ('_x=1', 'nothing reads _x'),
    ):
        with pytest.raises(ValueError, match=said):
            read_config(path, [option])


def test_missing_parts_are_reported(toy_config):
    config = read_config(toy_config('pretrain'))
    require_parts(config, 'train')
    with pytest.raises(ValueError, match='no test_dataloader, .*: to test it must have'):
        require_parts(config, 'test')
    config.val_evaluator = None
    with pytest.raises(ValueError, match='no val_evaluator: to validate'):
        require_parts(config, 'train')
