"""A note on tiles that differ from the whole image."""

import pytest

from dtir_mm.apis.tile_note import tile_note
from dtir_mm.registry import MODELS

LOCAL = dict(type='LocalUNet', widths=(4, 8), encoder_blocks=(1,), decoder_blocks=(1,))


@pytest.mark.parametrize(
    ('size', 'local', 'expected'),
    [
        ((60, 65), False, True),
        ((65, 60), False, True),
        ((64, 64), False, False),  # a single tile
        ((60, 65), True, False),
    ],
)
def test_tiles_are_noted_if_a_network_sees_the_whole_image(toy_backbone, size, local, expected):
    backbone = dict(type='ConditionedBackbone', backbone=LOCAL) if local else toy_backbone
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone, tile=64, tile_overlap=16))
    for parameter in restorer.parameters():
        parameter.data.normal_(std=0.2)
    note = tile_note(restorer.eval(), size, 8)
    assert (note is not None) == expected
    if note is not None:
        assert note.startswith(
            'the network computes statistics over the whole image, and here over'
        )
        assert 'each tile of 64 pixels' in note
        assert '\n' not in note
