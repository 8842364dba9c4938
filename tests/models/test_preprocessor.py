"""Conversion of batches for a restorer, and back to images."""

import numpy as np
import pytest
import torch

from dtir_mm.models.preprocessor import ImageRange, RestorationPreprocessor, checked_range, select

SIGNED, UNIT = ImageRange(-1.0, 1.0), ImageRange(0.0, 1.0)
VALUES = np.arange(256, dtype=np.float64)
BOTH = pytest.mark.parametrize(
    ('scale', 'exact'), [(SIGNED, VALUES / 127.5 - 1), (UNIT, VALUES / 255)], ids=['signed', 'unit']
)


def make_batch() -> dict:
    """A batch with all 256 values in each image."""
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    return {
        'clean': values.expand(2, 3, 16, 16),
        'degraded': values.flip(-1).expand(2, 3, 16, 16),
        'path': ['a.png', 'b.png'],
        'task': ['rainy', 'hazy'],
        'key': torch.tensor([[0, 5, 0], [0, 5, 1]]),
    }


@BOTH
@pytest.mark.parametrize('training', [False, True])
def test_images_are_scaled_to_the_range(scale, exact, training):
    data = make_batch()
    before = data['clean'].clone()
    batch = RestorationPreprocessor(scale)(data, training)
    clean = batch['clean'][1, 2].flatten()
    assert clean.dtype == torch.float32
    np.testing.assert_allclose(clean.numpy(), exact, rtol=0, atol=2**-24)
    assert (clean[0], clean[255]) == scale
    assert torch.equal(batch['degraded'], batch['clean'].flip(-1))
    assert {name: batch[name] for name in ('path', 'task')} == {
        name: data[name] for name in ('path', 'task')
    }
    assert batch['key'] is data['key']
    assert data['clean'].dtype == torch.uint8 and torch.equal(data['clean'], before)


@BOTH
def test_double_precision_is_exact(scale, exact):
    preprocessor = RestorationPreprocessor(scale)
    preprocessor.dtype = torch.float64
    np.testing.assert_array_equal(preprocessor(make_batch())['clean'][0, 0].flatten(), exact)
    assert RestorationPreprocessor(scale).dtype == torch.float32


def test_a_batch_of_clean_images_alone():
    data = make_batch()
    del data['degraded']
    assert set(RestorationPreprocessor(SIGNED)(data)) == {'clean', 'path', 'task', 'key'}


@BOTH
def test_to_unit_range_inverts_preprocessing(scale, exact):
    batch = RestorationPreprocessor(scale)(make_batch())
    back = scale.to_unit_range(batch['clean']).mul(255)
    torch.testing.assert_close(back, make_batch()['clean'].float(), rtol=0, atol=1e-4)


def test_ranges_are_converted_and_clamped():
    image = torch.tensor([-1.5, -1.0, -0.5, 0.0, 1.0, 1.01])
    assert SIGNED.to_unit_range(image).tolist() == [0, 0, 0.25, 0.5, 1, 1]
    assert UNIT.to_unit_range(image).tolist() == [0, 0, 0, 0, 1, 1]
    assert torch.equal(SIGNED.to_signed(image), image)
    assert UNIT.to_signed(torch.tensor([0.0, 0.25, 1.0])).tolist() == [-1, -0.5, 1]


@pytest.mark.parametrize('values', [[-1, 1], (0, 1), [0.0, 1.0]])
def test_both_image_ranges_are_accepted(values):
    assert checked_range(values) == tuple(values)
    assert isinstance(checked_range(values), ImageRange)


@pytest.mark.parametrize('values', [(0, 255), (1, 0), (-1, 1, 0), (-0.5, 0.5)])
def test_other_image_ranges_are_rejected(values):
    with pytest.raises(
        ValueError, match=r'image_range=.* must be \(-1\.0, 1\.0\) or \(0\.0, 1\.0\)'
    ):
        checked_range(values)


def test_select_takes_samples_of_tensors_and_lists_in_the_given_order():
    batch = {'key': torch.tensor([[1, 2], [3, 4], [5, 6]]), 'path': ['a', 'b', 'c']}
    chosen = select(batch, [2, 0])
    assert chosen['key'].tolist() == [[5, 6], [1, 2]]
    assert chosen['path'] == ['c', 'a']
    nothing = select(batch, [])
    assert nothing['key'].shape == (0, 2) and nothing['path'] == []
