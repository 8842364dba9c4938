"""The summary of a config: name, parameters, data and initial weights."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from dtir_mm.analysis.recipe import (
    count_parameters,
    format_summary,
    summarize_recipe,
)
from dtir_mm.matching.timesteps_file import write_timesteps
from dtir_mm.models.tracing.trace import trace
from dtir_mm.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NAFNET = dict(type='mmagic.NAFNet', mid_channels=8, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1])


def summary_of(name: str, **options) -> dict[str, list[str]]:
    config = Config.fromfile(CONFIGS / name)
    config.merge_from_dict(options)
    lines: dict[str, list[str]] = {}
    for what, value in summarize_recipe(config.to_dict(), Path(name).stem):
        lines.setdefault(what, []).append(value)
    return lines


def test_parameters_are_those_of_the_built_parts():
    backbone = dict(
        type='ConditionedBackbone',
        backbone=NAFNET,
        adapters=dict(num_experts=2, param_budget=20_000, prompt_dim=8),
        restoration_head=True,
    )
    model = dict(backbone=backbone, classifier=dict(type='DegradationClassifier', tasks=['noisy']))
    built = MODELS.build(backbone)

    def size(*modules: nn.Module) -> int:
        return sum(tensor.numel() for m in modules for tensor in m.state_dict().values())

    assert count_parameters(model) == {
        'network': size(MODELS.build(NAFNET)),
        'time conditioning': size(built.films, built.time_embedding),
        'restoration head': size(built.restoration_head),
        'adapters': size(built.adapters),
        'classifier': size(MODELS.build(model['classifier'])),
    }
    bare = count_parameters(dict(backbone=dict(type='ConditionedBackbone', backbone=NAFNET)))
    assert (bare['restoration head'], bare['adapters'], bare['classifier']) == (0, 0, 0)


def test_parameters_of_a_public_file_are_those_in_it(tmp_path):
    weights = MODELS.build(
        dict(type='spandrel.NAFNet', width=8, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1])
    ).state_dict()
    torch.save({'params': weights}, tmp_path / 'public.pth')
    network = dict(type='PublicNetwork', file=str(tmp_path / 'public.pth'))
    counts = count_parameters(dict(backbone=dict(type='ConditionedBackbone', backbone=network)))
    assert counts['network'] == sum(weight.numel() for weight in weights.values())


@pytest.mark.parametrize('skip', [True, False])
def test_global_skips_are_detected_on_the_meta_device(skip):
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 1))

        def forward(self, u):
            return u + self.body(u) if skip else self.body(u)

    with torch.device('meta'):
        net = Plain()
        assert trace(net).global_skip is skip
    assert net.body[0].weight.is_meta


def test_the_summary_of_a_fine_tuning():
    lines = summary_of('setting_a/dtir-unet_finetune_rainy_b16-300k.py')
    assert lines['network'][0].startswith('DtirUNet, 27,')
    assert lines['updates'] == ['300,000, validation every 5,000']
    assert lines['global batch'] == ['16, in micro-batches of 2']
    assert lines['optimiser'] == ['Adam, lr=5e-05, betas=(0.9, 0.99), CosineAnnealingLR to 1e-06']
    assert lines['time steps'] == ['rainy 8']
    assert lines['trains on'] == ['rainy (source): data/Rain100L/train/LQ, data/Rain100L/train/GT']
    assert [line.split(':')[0] for line in lines['tests on']] == [
        'rainy (source)', 'rainy (target)',
    ]  # fmt: skip
    assert lines['starts from'] == ['work_dirs/dtir-unet_pretrain_rainy_b16-500k']
    assert lines['writes to'] == ['work_dirs/dtir-unet_finetune_rainy_b16-300k']


def test_the_summary_of_ten_tasks():
    config = Config.fromfile(CONFIGS / 'setting_b/nafnet-w64_unified_b16-10x100k.py')
    rows = list(summarize_recipe(config.to_dict(), 'own'))
    lines = dict(rows)
    assert lines['time steps'].startswith('noisy 4, rainy 8,')
    assert lines['time steps'].endswith('hazy 47, blurry 50')
    assert lines['updates'].endswith('tasks join one after another, asc, cumulative')
    assert [what for what, _ in rows].count('trains on') == 10
    assert 'adapters 1.8' in lines['network']
    assert format_summary(rows).count('trains on') == 1


def test_missing_parts_are_reported(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # away from runs that were made here
    lines = summary_of('setting_a/dtir-unet_pretrain_rainy_b16-500k.py')
    assert lines['starts from'] == ['random weights']
    assert 'time steps' not in lines and 'tests on' not in lines
    assert lines['trains on'] == ['data/Rain100L/train/GT']
    lines = summary_of('mini/quick_dtir-unet-w16_finetune_noisy_b8-1000.py')
    assert lines['time steps'] == [
        'those of work_dirs/quickstart/timesteps.json, which does not exist yet'
    ]
    matches = {'low_light': {'t_mat': 38}}
    write_timesteps('work_dirs/quickstart/timesteps.json', matches, {'num_steps': 50})
    lines = summary_of('mini/quick_dtir-unet-w16_finetune_noisy_b8-1000.py')
    assert lines['time steps'] == ['none yet for noisy']
    task = {'train_dataloader.dataset.task': 'low_light'}
    lines = summary_of('mini/quick_dtir-unet-w16_finetune_noisy_b8-1000.py', **task)
    assert lines['time steps'] == ['low_light 38']
