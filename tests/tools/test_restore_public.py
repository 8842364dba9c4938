"""Public weights restore without a config, and can be fine-tuned."""

import numpy as np
import pytest
import spandrel
import spandrel_extra_arches
import torch
from safetensors.torch import save_file
from torch import nn

from dtir_mm.apis import load_restorer
from dtir_mm.apis.deployment import load_deployed
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.image_io import read_image, save_image
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
