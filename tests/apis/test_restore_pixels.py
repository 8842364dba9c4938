"""Pixels of every type and depth, strength, precision, and the choice of the time step."""

import numpy as np
import pytest
import torch

from dtir_mm.apis.restoring import (
    checked_device,
    choose_step,
    find,
    in_words,
    prepared,
    resolved,
    restore_pixels,
)
from dtir_mm.models.restorers.blind_inference import Prediction
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.registry import MODELS

RNG = np.random.default_rng(0)
UNIT = RNG.random((37, 29, 3))
DARKER = np.array([0.1, 0.2, 0.3])  # that the network below subtracts from red, green and blue
WHITE = {np.uint8: 255, np.uint16: 65535, np.float32: 1, np.float64: 1}
# Of float32 in -1..1; 16 bits are 1.5e-5 apart.
PRECISE = 3e-7


@pytest.fixture(params=[(-1, 1), (0, 1)], ids=['signed', 'unit'])
def restorer(request, toy_backbone) -> Restorer:
    """A network that darkens, instead of the toy, whatever the range of its images."""
    made = MODELS.build(
        dict(
            type='Restorer',
            backbone=toy_backbone,
            timesteps=dict(rainy=8, hazy=47),
            image_range=request.param,
        )
    ).eval()
    low, high = request.param
    by = torch.tensor(DARKER * (high - low), dtype=torch.float32).reshape(3, 1, 1)
    made._restore_padded = lambda image, t: image - by * t / 8
    return made


def expected_of(image: np.ndarray, white: float, strength: float = 1.0) -> np.ndarray:
    """What the network makes of an image, in its own range and not rounded."""
    unit = image.astype(np.float64) / white
    restored = (unit - DARKER).clip(0, 1)
    if image.shape[2] == 1:
        restored = restored.mean(2, keepdims=True)
    return white * (strength * restored + (1 - strength) * unit)


def image_of(dtype: type, channels: int = 3) -> np.ndarray:
    image = UNIT[..., :channels] * WHITE[dtype]
    return image.astype(dtype)


@pytest.mark.parametrize('dtype', WHITE)
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('strength', [1.0, 0.3])
@pytest.mark.parametrize('tile', [None, 16])
def test_every_type_keeps_its_depth(dtype, channels, strength, tile, restorer):
    image = image_of(dtype, channels)
    before = image.copy()
    restored = restore_pixels(prepared(restorer, 8, tile, False), image, 8, strength)
    assert restored.dtype == dtype and restored.shape == image.shape
    rounding = 0.5 if np.issubdtype(dtype, np.integer) else 0
    error = np.abs(restored - expected_of(image, WHITE[dtype], strength)).max()
    assert error <= rounding + PRECISE * WHITE[dtype]
    assert (image == before).all()


@pytest.mark.parametrize('dtype', WHITE)
def test_views_of_any_stride_are_read(dtype, restorer):
    wide = np.repeat(image_of(dtype), 2, axis=1)
    for view in (wide[::-1, ::2], wide[:, ::-2], wide.swapaxes(0, 1), np.asfortranarray(wide)):
        expected = restore_pixels(restorer, np.ascontiguousarray(view), 8)
        np.testing.assert_array_equal(restore_pixels(restorer, view, 8), expected)
    fixed = image_of(dtype)
    fixed.flags.writeable = False
    restore_pixels(restorer, fixed, 8)


def test_clean_images_and_a_strength_of_zero_give_an_equal_copy(restorer):
    image = image_of(np.float64)
    for t, strength in ((0, 1.0), (8, 0.0)):
        restored = restore_pixels(restorer, image, t, strength)
        np.testing.assert_array_equal(restored, image)
        assert not np.shares_memory(restored, image)
    for strength in (-0.1, 1.1, float('nan')):
        with pytest.raises(ValueError, match=r'strength=.* must be a number in \[0, 1\]'):
            restore_pixels(restorer, image, 8, strength)


def test_rows_are_counted_as_they_are_done(restorer):
    done = []
    restore_pixels(prepared(restorer, 8, 16, False), image_of(np.uint8), 8, progress=done.append)
    assert len(done) > 1 and done == sorted(done) and done[-1] == 37


def test_settings_leave_the_restorer_as_it_is(restorer):
    changed = prepared(restorer, 8, 16, True)
    assert (changed.tile, changed.ensemble, changed.tile_overlap) == (16, True, 8)
    assert (restorer.tile, restorer.ensemble, restorer.tile_overlap) == (None, False, 64)
    assert next(changed.parameters()) is next(restorer.parameters())


@pytest.mark.parametrize(('tile', 'overlap'), [(65, 32), (80, 40), (384, 64)])
def test_tiles_overlap_by_at_most_half(tile, overlap, restorer):
    assert prepared(restorer, 8, tile, False).tile_overlap == overlap


def test_bf16_is_used_only_where_it_is_asked_for(restorer):
    seen = []
    usual = restorer._restore_padded

    def watched(image, t):
        weight = torch.ones(3, 3, 1, 1)
        seen.append(torch.nn.functional.conv2d(image, weight).dtype)
        return usual(image, t)

    restorer._restore_padded = watched
    for precision in ('fp32', 'bf16', 'auto'):
        restored = restore_pixels(restorer, image_of(np.uint8), 8, precision=precision)
        assert np.abs(restored - expected_of(image_of(np.uint8), 255)).max() < 0.51
    assert seen == [torch.float32, torch.bfloat16, torch.float32]
    with pytest.raises(ValueError, match="precision='fp16' must be one of auto, fp32, bf16"):
        resolved('fp16', torch.device('cpu'))


def test_an_unknown_device_is_a_one_line_error():
    assert checked_device('cpu') == torch.device('cpu')
    for name in ('tpu', 'cuda:99', 'meta'):
        with pytest.raises(ValueError, match=f"the device '{name}' cannot be used: ") as error:
            checked_device(name)
        assert '\n' not in str(error.value)


def test_the_step_is_given_or_that_of_the_only_task(restorer):
    assert choose_step(restorer, t=3) == 3
    assert choose_step(restorer, 'hazy', 3) == 3
    assert choose_step(restorer, 'hazy') == 47
    with pytest.raises(ValueError, match=r'knows 2 tasks \(rainy, hazy\): name one'):
        choose_step(restorer)
    restorer.trained_tasks = ['hazy']
    assert choose_step(restorer) == 47
    for t in (0, 51):
        with pytest.raises(ValueError, match=f't={t} must be a whole number in 1..50'):
            choose_step(restorer, t=t)
    with pytest.raises(KeyError) as raised:
        choose_step(restorer, 'razy')
    said = "unknown task 'razy': this checkpoint knows clean, rainy, hazy; nearest: hazy"
    assert raised.value.args == (said,)
    assert find(restorer, UNIT, 47, 'hazy') == Prediction('hazy', None, 47)


def test_the_blind_step_is_no_task_to_name(restorer):
    restorer.timesteps.by_task['blind'] = 5
    with pytest.raises(ValueError, match=r'knows 2 tasks \(rainy, hazy\): name one'):
        choose_step(restorer)
    with pytest.raises(KeyError, match='knows clean, rainy, hazy"'):
        choose_step(restorer, 'x')
    restorer.trained_tasks = ['hazy', 'blind']
    assert choose_step(restorer) == 47
    assert choose_step(restorer, 'blind') == 5 and choose_step(restorer, 'clean') == 0


@pytest.mark.parametrize(
    ('found', 'words'),
    [
        (Prediction(None, None, 3), 't = 3'),
        (Prediction('hazy', None, 47), 'hazy, t = 47'),
        (Prediction('rainy', 0.934, 8), 'rainy (93%), t = 8'),
        (Prediction('clean', 0.998, 0), 'clean (100%), returned as it is'),
        (
            Prediction('unsure', 0.41, 1),
            'not sure: no degradation is more than 41% probable; t = 1',
        ),
        (
            Prediction('unsure', 0.75, 0),
            'not sure: no degradation is more than 75% probable; it may be clean, and is returned '
            'as it is',
        ),
    ],
)
def test_what_was_found_is_said_in_words(found, words):
    assert in_words(found) == words
