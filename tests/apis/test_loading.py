"""``load_restorer`` takes deployed networks, at every image size and only their own time step."""

import numpy as np
import pytest
from trust_cases import BACKBONE, CONFIG, changed, checkpoint_of

from dtir_mm.apis import load_restorer, match_timesteps, restore_pixels
from dtir_mm.apis.deployment import deploy, save_deployed
from dtir_mm.apis.onnx_network import export_onnx
from dtir_mm.engine.checkpoint import CheckpointError, load_checkpoint
from dtir_mm.registry import MODELS
from dtir_mm.weights_file import is_deployed

SIZES = [(101, 63), (1, 1), (48, 64), (200, 3)]
KINDS = ('rainy.safetensors', 'rainy.onnx')
STEP = 8


def image_of(height: int, width: int) -> np.ndarray:
    # Not up to black and white: ONNX files of ours clamp, before tiles and flips are averaged.
    return np.random.default_rng(0).integers(64, 192, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A checkpoint that changes images moderately, and what is deployed of it."""
    folder = tmp_path_factory.mktemp('deployed')
    config = changed(CONFIG, 'model', timesteps=dict(rainy=STEP))
    weights = MODELS.build(config['model']).state_dict()
    rng = np.random.default_rng(0)
    for name in ('net.conv_out.weight', 'films.middle_0.linear.weight'):
        weight = weights[f'backbone.{name}']
        weight.copy_(weight.new_tensor(rng.normal(0, 0.05, tuple(weight.shape))))
    restorer = load_restorer(checkpoint_of(config, folder, weights)).cpu()
    network = deploy(restorer, STEP, 'rainy')
    save_deployed(network, folder / KINDS[0], BACKBONE, 'run/iter_5.pth')
    export_onnx(network, folder / KINDS[1], 'run/iter_5.pth')
    save_deployed(deploy(restorer, STEP), folder / 'step.safetensors', BACKBONE)
    return folder


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('options', [{}, dict(tile=32, tile_overlap=16, ensemble=True)])
def test_a_deployed_network_restores_as_its_checkpoint_at_any_size(folder, kind, options):
    restorer, expected = (load_restorer(folder / name, **options) for name in (kind, 'iter_5.pth'))
    assert not restorer.training
    for size in SIZES:
        image = image_of(*size)
        result, reference = (
            restore_pixels(each, image, STEP).astype(int) for each in (restorer, expected)
        )
        assert result.shape == image.shape
        # Tiles start at multiples of a network's stride, which may be larger as ONNX.
        most = 8 if options and kind.endswith('.onnx') else 1
        assert np.abs(result - reference).max() <= most, size
        assert np.abs(reference - image).mean() > 1, 'the restorer does nothing'


def test_its_only_time_step_is_the_one_that_it_was_deployed_at(folder):
    by_task, by_step = (load_restorer(folder / f'{name}.safetensors') for name in ('rainy', 'step'))
    assert (by_task.timesteps.by_task, by_step.timesteps.fixed) == ({'rainy': STEP}, STEP)
    by_task.backbone.require('rainy', STEP)
    by_step.backbone.require(None, None)
    said = r'safetensors was deployed at t = 8, for .rainy., and has no time conditioning for '
    for task, t, asked in (('hazy', None, "the task 'hazy'"), (None, 9, 't = 9')):
        with pytest.raises(ValueError, match=said + asked):
            by_task.backbone.require(task, t)
    with pytest.raises(ValueError, match=r"t = 8, and has no .* for the task 'rainy'"):
        by_step.backbone.require('rainy', None)
    for restorer in (by_task, load_restorer(folder / 'rainy.onnx')):
        with pytest.raises(ValueError, match='was deployed at t = 8.* for t = 9'):
            restore_pixels(restorer, image_of(8, 8), 9)


def test_steps_beyond_the_usual_number_are_kept(tmp_path):
    config = changed(CONFIG, 'model', timesteps={}, schedule=dict(num_steps=200))
    config['model']['schedule']['type'] = 'VariancePreserving'
    network = deploy(MODELS.build(config['model']).eval(), 150)
    save_deployed(network, tmp_path / 'a.safetensors', BACKBONE)
    restorer = load_restorer(tmp_path / 'a.safetensors')
    assert restorer.timesteps.fixed == 150
    assert restore_pixels(restorer, image_of(9, 9), 150).shape == (9, 9, 3)


def test_blind_inference_needs_the_checkpoint(folder):
    with pytest.raises(ValueError, match='needs model.classifier'):
        load_restorer(folder / KINDS[0], inference='predict')
    restorer = load_restorer(folder / KINDS[0], inference='try_all')
    with pytest.raises(ValueError, match='was deployed at t = 8'):
        restore_pixels(restorer, image_of(32, 32), None)


@pytest.mark.parametrize('kind', KINDS)
def test_only_restoring_takes_a_deployed_network(folder, photos_dir, kind):
    with pytest.raises(
        CheckpointError, match=rf'{kind} is a.* name the checkpoint that it was made from'
    ):
        load_checkpoint(folder / kind)
    with pytest.raises(CheckpointError, match=rf'{kind} is a'):
        match_timesteps(folder / kind, ['rainy'], photos_dir)
    said = f'{kind} has no time conditioning, and so no step to match'
    with pytest.raises(ValueError, match=said):
        match_timesteps(load_restorer(folder / kind), ['rainy'], photos_dir)
    with pytest.raises(ValueError, match=rf'{kind} is a deployed network.* without mine\.py'):
        load_restorer(folder / kind, 'mine.py')


def test_what_counts_as_deployed(folder, tmp_path):
    assert all(is_deployed(folder / kind) for kind in KINDS)
    (tmp_path / 'empty').touch()
    for other in (folder, folder / 'iter_5.pth', tmp_path / 'missing.onnx', tmp_path / 'empty'):
        assert not is_deployed(other)


def test_a_wrong_step_in_the_metadata_is_rejected(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    from dtir_mm.weights_file import read_metadata

    weights, metadata = load_file(folder / KINDS[0]), read_metadata(folder / KINDS[0])
    for t in ('0', '1001', '-1', '8.5', '٣', '9' * 5000, ''):
        save_file(weights, tmp_path / 'a.safetensors', metadata | {'t': t})
        with pytest.raises(
            ValueError, match=r'a\.safetensors: t=.* must lie in 1\.\.1000'
        ) as error:
            load_restorer(tmp_path / 'a.safetensors')
        assert len(str(error.value)) < 300
    del metadata['t']
    save_file(weights, tmp_path / 'a.safetensors', metadata)
    restorer = load_restorer(tmp_path / 'a.safetensors')
    assert restore_pixels(restorer, image_of(9, 9), 1).shape == (9, 9, 3)
    with pytest.raises(ValueError, match='has no time conditioning for t = 8'):
        restorer.backbone.require(None, 8)
