"""Public weights restore and are tested without a config of theirs, and can be fine-tuned."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import spandrel
import spandrel_extra_arches
import torch
from safetensors.torch import save_file
from skimage.metrics import peak_signal_noise_ratio
from torch import nn

from dtir_mm.apis import load_restorer
from dtir_mm.apis.deployment import load_deployed
from dtir_mm.datasets.degradations import degradation_for
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.image_io import read_image, save_image
from dtir_mm.randomness import generator
from dtir_mm.registry import MODELS

pytestmark = pytest.mark.filterwarnings('ignore')  # of torch.jit, in spandrel

NETWORKS = {
    'NAFNet': dict(width=8, middle_blk_num=1, enc_blk_nums=[1, 2], dec_blk_nums=[1, 1]),
    'Restormer': dict(dim=8, num_blocks=[1, 2, 1, 1], num_refinement_blocks=1, heads=[1, 2, 2, 4]),
}


def public_network(name: str) -> nn.Module:
    """A network of spandrel with random weights that change an image clearly."""
    network = MODELS.get(f'spandrel.{name}').network(**NETWORKS[name])
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval()


def restored_by_spandrel(network: nn.Module, image: np.ndarray) -> np.ndarray:
    registry = spandrel.MAIN_REGISTRY.copy()
    registry.add(*spandrel_extra_arches.EXTRA_REGISTRY)
    found = spandrel.ModelLoader(registry=registry).load_from_state_dict(network.state_dict())
    photo = torch.from_numpy(image / 255).float().permute(2, 0, 1)[None]
    return (found(photo)[0] * 255).permute(1, 2, 0).numpy()


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_public_file_restores_without_a_config(name, suffix, photos_dir, run_tool, tmp_path):
    network, file = public_network(name), tmp_path / f'public{suffix}'
    if suffix == '.pth':
        torch.save({'params': network.state_dict()}, file)
    else:
        save_file(network.state_dict(), file)
    run_tool('restore', file, photos_dir / 'photo_0.png', tmp_path / 'restored.png')
    image, restored = (
        read_image(p) for p in (photos_dir / 'photo_0.png', tmp_path / 'restored.png')
    )
    expected = restored_by_spandrel(network, image)
    assert np.abs(restored - expected).max() < 0.51
    assert np.abs(expected - image).mean() > 2, 'the network does nothing'


def test_unsupported_sizes_are_padded(photos_dir, run_tool, tmp_path):
    network = public_network('Restormer')
    torch.save(network.state_dict(), tmp_path / 'a.pth')
    image = np.ascontiguousarray(read_image(photos_dir / 'photo_0.png')[:37, :43])
    save_image(tmp_path / 'odd.png', image)
    run_tool('restore', tmp_path / 'a.pth', tmp_path / 'odd.png', tmp_path / 'out.png')
    expected = restored_by_spandrel(network, image)
    assert np.abs(read_image(tmp_path / 'out.png') - expected).max() < 0.51


def test_unknown_and_broken_files_are_rejected(photos_dir, failure_of, tmp_path):
    torch.save(nn.Conv2d(3, 3, 1).state_dict(), tmp_path / 'own.pth')
    (tmp_path / 'cut.safetensors').write_bytes(b'cut')
    for name in ('own.pth', 'cut.safetensors'):
        message = failure_of('restore', tmp_path / name, photos_dir, tmp_path / 'out')
        assert str(tmp_path / name) in message
    assert not (tmp_path / 'out').exists()


def test_a_public_network_is_tested_instead_of_the_model_of_the_config(toy, run_tool, tmp_path):
    network, file = public_network('NAFNet'), tmp_path / 'nafnet.pth'
    torch.save(network.state_dict(), file)
    printed = run_tool('test', toy.config, file, '--work-dir', tmp_path / 'out')
    assert f'weights: of the public network in {file}, which has no time steps' in printed
    assert 'time steps none' in printed
    assert json.loads((tmp_path / 'out' / 'summary.json').read_text())['timesteps'] == {}
    with open(tmp_path / 'out' / 'images.csv', newline='') as table:
        rows = list(csv.DictReader(table))
    assert [row['domain'] for row in rows] == ['source', 'source', 'target', 'target']
    for row in rows:
        clean = read_image(row['path'])
        rng = generator(0, 'rainy', row['domain'], Path(row['path']).stem, 0)
        degraded = degradation_for('rainy', row['domain']).degrade(clean, rng)
        restored = restored_by_spandrel(network, degraded).round()
        expected = peak_signal_noise_ratio(clean, restored.astype(np.uint8), data_range=255)
        assert float(row['psnr']) == pytest.approx(expected, abs=0.01)


def test_weights_of_no_known_network_are_reported_for_the_config(toy, failure_of, tmp_path):
    torch.save(nn.Conv2d(3, 3, 1).state_dict(), tmp_path / 'own.pth')
    message = failure_of('test', toy.config, tmp_path / 'own.pth', '--work-dir', tmp_path / 'out')
    assert f'{tmp_path}/own.pth holds weights of another architecture than DtirUNet' in message


def test_what_needs_time_conditioning_refuses_public_weights(toy, failure_of, tmp_path):
    torch.save(public_network('NAFNet').state_dict(), tmp_path / 'a.pth')
    file, out = tmp_path / 'a.pth', tmp_path / 'out'
    for option, asked in ((('--task', 'hazy'), "the task 'hazy'"), (('--t', 1), 't = 1')):
        message = failure_of('restore', file, toy.photos, out, *option)
        assert f'{file} has no time conditioning for {asked}: name no task or time step' in message
    small = ('--photos', toy.photos, '--num-images', 8, '--size', 16)
    message = failure_of('match_timesteps', file, out / 't.json', '--tasks', 'rainy', *small)
    assert f'{file} has no time conditioning, and so no step to match' in message
    message = failure_of('test', toy.config, file, '--work-dir', out, '--online-weights')
    assert f'{file} is not of dtir_mm: it has no --online-weights' in message
    for step in (('--t', 8), ('--all-tasks',)):
        message = failure_of('deploy', file, out / 'net', *step)
        assert f'{file} carries no config of dtir_mm' in message
        assert 'PublicNetwork (docs/backbones.md)' in message
    assert [path for path in out.rglob('*') if path.is_file()] == []


MORE = """
model.update(
    head=dict(residual_scale='one'),
    backbone=dict(
        type='ConditionedBackbone', backbone=dict(type='PublicNetwork', file='{file}')
    ),
)
train_cfg = dict(max_iters=1, val_interval=1)
"""


def test_a_fine_tuned_public_network_does_not_need_its_file(toy_config, run_tool, tmp_path):
    network, file = public_network('NAFNet'), tmp_path / 'nafnet.pth'
    torch.save(network.state_dict(), file)
    config = toy_config('finetune', MORE.format(file=file))
    run_tool('train', config, '--work-dir', tmp_path / 'run')
    deployed = tmp_path / 'deployed.safetensors'
    run_tool('deploy', tmp_path / 'run', deployed, '--t', 8, '--config', config)
    file.unlink()
    assert type(load_deployed(deployed).net).__name__ == 'NAFNet'
    net = load_restorer(tmp_path / 'run').backbone.net
    weights = torch.load(tmp_path / 'run' / 'iter_1.pth', weights_only=True)['state_dict']
    for name, value in network.state_dict().items():
        assert torch.equal(net.state_dict()[name].cpu(), weights[f'backbone.net.{name}'])
        # One step of Adam moves no weight further than the learning rate.
        assert (net.state_dict()[name].cpu() - value).abs().max() < 2e-3, name


def test_a_checkpoint_without_our_metadata_restores_with_a_config(toy, run_tool, tmp_path):
    weights = load_checkpoint(toy.finetune).weights
    torch.save({'state_dict': weights, 'meta': {'iter': 2}}, tmp_path / 'foreign.pth')
    photo = toy.photos / '0.png'
    step = ('--task', 'noisy')
    foreign = (tmp_path / 'foreign.pth', photo, tmp_path / 'a.png')
    run_tool('restore', *foreign, '--config', toy.config, *step)
    run_tool('restore', toy.finetune, photo, tmp_path / 'b.png', *step)
    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()
