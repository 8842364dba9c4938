"""Files as ``dtir-mm test`` and ``dtir-mm train`` write them, and small checkpoints."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import pytest
import torch

from dtir_mm.registry import MODELS

STEPS = {'rainy': 8, 'noisy': 4, 'low_light': 38}
Images = Sequence[tuple[str, str, float, float]]  # task, domain, PSNR of the input and restored


@pytest.fixture
def write_test(tmp_path: Path) -> Callable[..., Path]:
    """Writes the results of a test; returns the folder that all are in."""

    def write(
        name: str, images: Images, method: str = 'ours', config: object = None, **steps: int
    ) -> Path:
        folder = tmp_path / 'runs' / name / 'test'
        folder.mkdir(parents=True)
        figures = [f'{prefix}{figure}' for prefix in ('', 'input_') for figure in FIGURES]
        with open(folder / 'images.csv', 'w', newline='') as file:
            writer = csv.DictWriter(file, ['task', 'domain', 'path', 't', *figures])
            writer.writeheader()
            for i, (task, domain, before, after) in enumerate(images):
                names = {'task': task, 'domain': domain, 'path': f'{i}.png'}
                psnr = {'psnr': after, 'input_psnr': before, 'ssim': 0.5, 'input_ssim': 0.5}
                writer.writerow({**names, 't': steps.get(task, STEPS.get(task, 0)), **psnr})
        groups = dict.fromkeys((task, domain) for task, domain, *_ in images)
        rows = [
            {
                'task': group[0], 'method': label, 'domain': group[1], 'n': len(psnr), 'ssim': 0.5,
                'lpips': None, 'psnr': fmean(psnr),
            }
            for label, place in (('input', 2), (method, 3))
            for group in groups
            if (psnr := [row[place] for row in images if row[:2] == group])
        ]  # fmt: skip
        summary = {
            'rows': rows, 'images': [], 'protocol': 'rgb_no_lpips', 'config': config,
            'timesteps': {t: {'t_mat': steps.get(t, STEPS.get(t, 0))} for t, _ in groups},
        }  # fmt: skip
        (folder / 'summary.json').write_text(json.dumps(summary))
        return tmp_path / 'runs'

    return write


FIGURES = ('psnr', 'ssim', 'lpips')


@pytest.fixture
def write_network(tmp_path: Path, photos_dir: Path, toy_backbone: dict) -> Callable[..., Path]:
    """Writes a work directory with a network of random weights; ``.build()`` is that network."""

    def write(name: str, tasks: Sequence[str], seed: int = 0, photos: int = 2) -> Path:
        model = {'type': 'Restorer', 'backbone': toy_backbone, 'timesteps': STEPS}
        data = {'folder': str(photos_dir), 'pipeline': [{'type': 'PackSample'}]}
        pairs = {
            'type': 'DegradedPhotosDataset', 'severities': ['source', 'target'],
            'max_photos': photos, **data,
        }  # fmt: skip
        clean = {'type': 'CleanPhotosDataset', 'as_pairs': True, **data}
        datasets = [clean, *({**pairs, 'task': task} for task in tasks)]
        config = {
            'model': model,
            'test_dataloader': {'dataset': {'type': 'ConcatDataset', 'datasets': datasets}},
        }
        torch.manual_seed(seed)
        network = MODELS.build(model)
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        meta = {
            'config_json': json.dumps(config), 'timesteps': STEPS, 'fixed_timestep': None,
            'tasks': list(tasks), 'iter': 5, 'seed': seed, 'objective': 'Reconstruction',
        }  # fmt: skip
        (tmp_path / name).mkdir()
        content = {'state_dict': network.state_dict(), 'meta': meta}
        torch.save(content, tmp_path / name / 'iter_5.pth')
        return tmp_path / name

    return write
