"""Lossless WebP files, with and without further chunks, are told from lossy ones."""

import numpy as np
import pytest
from odd_images import icc_profile
from PIL import Image

from dtir_mm.image_file import read_image_file, write_image_file


@pytest.mark.parametrize('extended', [False, True])
def test_a_lossless_webp_stays_lossless(tmp_path, extended):
    noise = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)
    more = {'icc_profile': icc_profile('Adobe')} if extended else {}
    for lossless in (True, False):
        Image.fromarray(noise).save(tmp_path / 'a.webp', lossless=lossless, **more)
        file = read_image_file(tmp_path / 'a.webp')
        write_image_file(tmp_path / 'b.webp', file)
        with Image.open(tmp_path / 'b.webp') as written:
            same = np.array_equal(np.asarray(written), file.pixels)
        assert file.lossless == same == lossless
