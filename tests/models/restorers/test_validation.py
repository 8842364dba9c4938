"""Validation: restored images, and the losses of noise prediction and denoising."""

import pytest
import torch
from restorer_cases import BOTH, RELEASED, build, denoising_loss, make_data, noise_loss, step_of


def test_validation_noise_loss_is_the_same_every_time(toy_backbone):
    restorer = build(toy_backbone, step_of('pretraining'))
    data = make_data([0, 1, 2], iteration=0)
    expected = [noise_loss(restorer, data, i).item() for i in range(3)]
    for slots in ([0, 1, 2], [2, 0], [1]):
        torch.manual_seed(len(slots))
        batch = make_data(slots, iteration=0)
        del batch['degraded']
        results = restorer.val_step(batch)
        assert [set(result) for result in results] == [{'path', 'val_noise_loss'}] * len(slots)
        losses = [result['val_noise_loss'] for result in results]
        assert losses == pytest.approx([expected[slot] for slot in slots], rel=1e-10)


def test_fine_tuning_also_validates_the_noise_loss(toy_backbone):
    restorer = build(toy_backbone, step_of('finetuning'))
    data = make_data([0, 1], iteration=0)
    whole = restorer.val_step(data)
    assert [row['val_noise_loss'] for row in whole] == pytest.approx(
        [noise_loss(restorer, data, i).item() for i in range(2)], rel=1e-10
    )
    odd = {
        **data,
        'clean': data['clean'][..., :-1, :-1],
        'degraded': data['degraded'][..., :-1, :-1],
    }
    even = {**data, 'clean': data['clean'][..., :-2, :-2]}
    for row, i in zip(restorer.val_step(odd), range(2), strict=True):
        assert row['restored'].shape == (*odd['clean'].shape[-2:], 3)
        assert row['val_noise_loss'] == pytest.approx(
            noise_loss(restorer, even, i).item(), rel=1e-10
        )


@BOTH
def test_validation_noise_is_predicted_on_a_crop_of_valid_size(toy_backbone, stage):
    """A size of the network's, and no more than a tile."""
    restorer = build(toy_backbone, step_of(stage))
    data = make_data([0, 1], iteration=0, side=11)
    for tile, side in ((None, 10), (7, 6)):  # it takes even sides
        restorer.tile, restorer.tile_overlap = tile, 2
        part = {**data, 'clean': data['clean'][..., :side, :side]}
        losses = [row['val_noise_loss'] for row in restorer.val_step(data)]
        expected = [noise_loss(restorer, part, i).item() for i in range(2)]
        assert losses == pytest.approx(expected, rel=1e-10)
    restorer.tile = 1  # which would be padded
    assert restorer.crop_to_valid_size(torch.zeros(1, 3, 11, 9)).shape == (1, 3, 2, 2)


RESULT = {'restored', 'degraded', 'clean', 'task', 'domain', 'path', 't'}


@pytest.mark.parametrize(
    ('step', 'measured'),
    [
        (None, set()),
        (step_of('pretraining'), {'val_noise_loss'}),
        (dict(objective=dict(type='Reconstruction')), set()),
        (step_of('finetuning', ratio=0.0), {'val_noise_loss'}),
    ],
    ids=['untrained', 'pre-training', 'reconstruction', 'fine-tuning'],
)
def test_validation_restores_degraded_images(toy_backbone, step, measured):
    """A baseline from scratch monitors the noise loss by a mixing ratio of zero."""
    restorer = build(toy_backbone, step)
    data = make_data(range(2))
    results = restorer.val_step(data)
    assert [set(result) for result in results] == [RESULT | measured] * 2
    for result, tested in zip(results, restorer.test_step(data), strict=True):
        assert set(tested) == RESULT and (tested['restored'] == result['restored']).all()
        assert (result['restored'] != result['degraded']).any()
    del data['degraded']
    assert [set(result) for result in restorer.val_step(data)] == [{'path'} | measured] * 2


def test_the_released_recipe_also_validates_the_denoising_loss(toy_backbone):
    """On every image, though it is mixed in by a tenth of the updates."""
    mixing = dict(type='UpdateMixing', objective=dict(type='Denoising'))
    step = dict(objective=dict(type='Reconstruction'), mixing=mixing)
    restorer = build(toy_backbone, step, **RELEASED)
    data = make_data(range(3), iteration=0)
    losses = [result['val_denoising_loss'] for result in restorer.val_step(data)]
    expected = [denoising_loss(restorer, data, i).item() for i in range(3)]
    assert losses == pytest.approx(expected, rel=1e-10)
