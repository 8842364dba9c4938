"""The custom backbone example runs as its README says."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from dtir_mm.apis import load_restorer, restore_pixels
from dtir_mm.image_io import read_image
from dtir_mm.registry import MODELS, RUNNERS

EXAMPLE = Path(__file__).resolve().parents[2] / 'examples' / 'custom_backbone'


@pytest.fixture
def importable(monkeypatch):
    """``PYTHONPATH=examples/custom_backbone``, undone afterwards."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield
    sys.modules.pop('plain_resnet', None)
    MODELS.module_dict.pop('PlainResNet', None)


def train(name: str, photos: Path, work_dir: Path, **more) -> None:
    config = Config.fromfile(EXAMPLE / f'{name}.py')
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if loader in config:
            config[loader].dataset.folder = str(photos)
            config[loader].num_workers = 0
    config.train_cfg.max_iters = 3
    config.merge_from_dict({'work_dir': str(work_dir), 'experiment_name': str(work_dir), **more})
    RUNNERS.build(config).train()


def test_the_example_is_pretrained_fine_tuned_and_restores(importable, photos_dir, tmp_path):
    train('pretrain', photos_dir, tmp_path / 'pretrain')
    train(
        'finetune_noisy', photos_dir, tmp_path / 'finetune',
        **{'load_from': str(tmp_path / 'pretrain'), 'train_dataloader.dataset.max_photos': 6},
    )  # fmt: skip
    with pytest.raises(ValueError, match='plain_resnet.*--allow-imports'):
        load_restorer(tmp_path / 'finetune')
    pretrained, finetuned = (
        load_restorer(tmp_path / run, allow_imports=True) for run in ('pretrain', 'finetune')
    )
    assert type(finetuned.backbone.net).__name__ == 'PlainResNet'
    assert finetuned.backbone.global_skip
    assert finetuned.timesteps['noisy'] == 4
    for name, weight in finetuned.backbone.net.named_parameters():
        moved = (weight - pretrained.backbone.net.get_parameter(name)).abs().max()
        assert 0 < moved < 0.01, name  # three updates from the pre-trained weights

    image = read_image(photos_dir / 'photo_0.png')
    y = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1
    residual = finetuned.backbone.predict_residual(y, torch.tensor([4])).detach()
    scale = max(float(finetuned.schedule.sigma(torch.tensor(4))), 0.25)
    expected = ((y - scale * residual + 1) / 2).clamp(0, 1)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(restore_pixels(finetuned, image, 4) - expected).max() <= 0.501
