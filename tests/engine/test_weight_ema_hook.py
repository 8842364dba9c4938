"""EMA weights against explicit sums, and where they are used."""

import copy

import pytest
import torch
from mmengine.hooks import Hook
from toy_training import assert_same, build_runner, train

from dtir_mm.apis import load_restorer
from dtir_mm.engine import WeightEMAHook
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.registry import HOOKS

QUICK = """
train_cfg.update(max_iters=4, val_interval=2)
train_dataloader.update(num_workers=0)
val_dataloader.update(num_workers=0)
visualizer = dict(_delete_=True, type='ScalarVisualizer')
custom_hooks = [dict(type='WeightsWatch')]
precision = 'fp64'
default_hooks = dict(checkpoint=dict(interval=1, max_keep=10), importance=dict(n_batches=2))
"""
PENALTY = "model['step']['regularizers'].update(importance=dict(type='ImportancePenalty'))\n"
EMA = "default_hooks.update(ema=dict(type='WeightEMAHook', decay=0.2))\n"


@HOOKS.register_module()
class WeightsWatch(Hook):
    """Records the weights at the start, after updates and at validation, and the logged drift."""

    priority = 'LOW'
    start: list[dict] = []
    updated: list[dict] = []
    validated: list[dict] = []
    tested: list[dict] = []
    drift: list[float] = []

    def before_train(self, runner):
        self.start.append(copy.deepcopy(runner.restorer.state_dict()))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.updated.append(copy.deepcopy(runner.restorer.state_dict()))
        if 'drift' in outputs:
            self.drift.append(outputs['drift'].item())

    def before_val_epoch(self, runner):
        self.validated.append(copy.deepcopy(runner.restorer.state_dict()))

    def before_test_epoch(self, runner):
        self.tested.append(copy.deepcopy(runner.restorer.state_dict()))


@pytest.fixture(autouse=True)
def watch(monkeypatch) -> type[WeightsWatch]:
    for name in ('start', 'updated', 'validated', 'tested', 'drift'):
        monkeypatch.setattr(WeightsWatch, name, [])
    return WeightsWatch


def test_the_average_is_updated_after_each_update(toy_config, tmp_path, watch):
    train(toy_config('pretrain', QUICK + EMA), tmp_path / 'run')
    (average,) = watch.start
    # After n updates d = min(0.2, (1 + n) / (10 + n)).
    for i, decay in enumerate((1 / 10, 2 / 11, 0.2, 0.2)):
        weights = watch.updated[i]
        average = {name: decay * average[name] + (1 - decay) * weights[name] for name in average}
        checkpoint = load_checkpoint(tmp_path / 'run' / f'iter_{i + 1}.pth').content
        assert_same(dict(checkpoint['online_state_dict']), dict(weights))
        torch.testing.assert_close(checkpoint['state_dict'], average, rtol=1e-12, atol=1e-14)
        assert checkpoint['meta']['ema_decay'] == 0.2
        if i in (1, 3):
            assert_same(dict(watch.validated[i // 2]), dict(checkpoint['state_dict']))
            assert not torch.equal(*(w['backbone.net.stem.weight'] for w in (average, weights)))


def test_averaging_does_not_change_training(toy_config, tmp_path):
    averaged = train(toy_config('pretrain', QUICK + EMA), tmp_path / 'averaged')
    plain = train(toy_config('pretrain', QUICK), tmp_path / 'plain')
    assert 'online_state_dict' not in plain
    assert_same(averaged['online_state_dict'], plain['state_dict'])
    assert_same(averaged['optimizer'], plain['optimizer'])


def test_resuming_restores_weights_and_averages(toy_config, tmp_path):
    config = toy_config('pretrain', QUICK + EMA)
    whole = train(config, tmp_path / 'whole')
    for name in ('with', 'without'):  # the first two updates
        (tmp_path / name).mkdir()
        checkpoint = (tmp_path / 'whole' / 'iter_2.pth').read_bytes()
        (tmp_path / name / 'iter_2.pth').write_bytes(checkpoint)
    resumed = train(config, tmp_path / 'with', resume=True)
    for part in ('state_dict', 'online_state_dict', 'optimizer'):
        assert_same(resumed[part], whole[part], part)
    resumed = train(toy_config('pretrain', QUICK), tmp_path / 'without', resume=True)
    assert_same(resumed['state_dict'], whole['online_state_dict'])


def test_fine_tuning_and_restoring_use_the_averages(toy_config, tmp_path, watch):
    pretrained = train(toy_config('pretrain', QUICK + EMA), tmp_path / 'pretrain')
    averages = pretrained['state_dict']
    names = pretrained['importance']['anchor']
    assert_same(pretrained['importance']['anchor'], {name: averages[name] for name in names})
    loaded = load_restorer(tmp_path / 'pretrain').state_dict()
    assert_same(dict(loaded), {name: value.float() for name, value in averages.items()})

    finetune = QUICK + EMA + PENALTY
    finetune += 'default_hooks.update(importance=dict(n_batches=0))\n'
    config = toy_config('finetune', finetune)
    tuned = train(config, tmp_path / 'finetune', load_from=str(tmp_path / 'pretrain'))
    assert_same(dict(watch.start[1]), dict(averages))
    assert watch.drift[0] == 0 < watch.drift[1]
    assert_same(tuned['importance'], pretrained['importance'])


@pytest.mark.parametrize('decay', [0, 1, -0.5])
def test_a_decay_outside_0_to_1_is_rejected(decay):
    with pytest.raises(ValueError, match=rf'decay={decay} of WeightEMAHook must lie in'):
        WeightEMAHook(decay)


def test_testing_after_training_uses_the_averages(toy_config, tmp_path, watch):
    more = 'test_dataloader.update(num_workers=0)\n'
    runner = build_runner(toy_config('finetune', QUICK + EMA + more), tmp_path / 'run')
    runner.train()
    online = copy.deepcopy(runner.restorer.state_dict())
    runner.test()
    averages = load_checkpoint(tmp_path / 'run').weights
    assert_same(dict(watch.tested[0]), averages)
    assert_same(dict(runner.restorer.state_dict()), dict(online))
    with pytest.raises(AssertionError):
        assert_same(dict(online), averages)
