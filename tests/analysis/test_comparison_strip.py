"""Comparison strips."""

import numpy as np
import pytest

from dtir_mm.analysis.comparison_hook import ComparisonHook
from dtir_mm.analysis.comparison_strip import MAX_WIDTH, comparison_strip
from dtir_mm.image_io import read_image

CAPTION = 26
GAP = 4


def flat(value, size=(240, 320)):
    return np.full((*size, 3), value, np.uint8)


def test_panels_are_side_by_side_below_their_captions():
    clean = flat((200, 30, 10))
    strip = comparison_strip(flat((90, 30, 10)), {'ours': flat((190, 30, 10))}, clean)
    assert strip.dtype == np.uint8 and strip.shape == (CAPTION + 240, 3 * 320 + 2 * GAP, 3)
    for number, red in enumerate((90, 190, 200)):
        left = number * (320 + GAP)
        panel = strip[CAPTION:, left : left + 320]
        assert (panel == (red, 30, 10)).all(), 'images are shown unscaled and in RGB order'
        caption = strip[:CAPTION, left : left + 320]
        assert caption.min() < 100 and caption[-1].min() == 255, 'no caption, or it is cut off'
    assert (strip[:, 320 : 320 + GAP] == 255).all()


def test_captions_state_names_and_psnr(monkeypatch):
    captions = []
    monkeypatch.setattr('cv2.putText', lambda image, text, *rest: captions.append(text))
    clean = flat(100, (900, 1600))
    comparison_strip(flat(151, clean.shape[:2]), {'scratch': clean, 'ours': clean + 1}, clean)
    assert captions == ['input 13.98 dB', 'scratch 100.00 dB', 'ours 48.13 dB', 'ground truth']


@pytest.mark.parametrize('restored', [1, 2, 5])
def test_wide_images_are_shrunk_to_the_greatest_width(restored):
    clean = flat(50, (600, 1500))
    strip = comparison_strip(clean, {f'm{i}': clean for i in range(restored)}, clean)
    assert MAX_WIDTH - 10 < strip.shape[1] <= MAX_WIDTH
    panel_width = (strip.shape[1] - GAP * (restored + 1)) / (restored + 2)
    assert (strip.shape[0] - CAPTION) / panel_width == pytest.approx(600 / 1500, rel=0.02)


def test_small_images_are_enlarged_without_smoothing():
    clean = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    strip = comparison_strip(clean, {'a rather long name of a method': clean}, clean)
    assert strip.shape == (CAPTION + 200, 3 * 200 + 2 * GAP, 3)
    shown = strip[CAPTION:, :200].reshape(-1, 3)
    assert {tuple(pixel) for pixel in shown} == {tuple(pixel) for pixel in clean.reshape(-1, 3)}
    long_caption = strip[:CAPTION, 200 + GAP : 400 + GAP]
    assert (long_caption[:, -2:] == 255).all(), 'the caption does not fit its panel'


def test_images_of_another_size_are_rejected():
    clean = flat(50)
    with pytest.raises(ValueError, match=r"'ours'.*\(120, 320, 3\)"):
        comparison_strip(clean, {'ours': clean[:120]}, clean)


def test_images_of_equal_names_get_different_files(tmp_path):
    hook = ComparisonHook(tmp_path, 'ours', count=3)
    samples = [
        dict(task='rainy', domain='source', path=f'{folder}/0001.png',
             **{name: np.full((40, 40, 3), value, np.uint8)
                for name in ('degraded', 'restored', 'clean')})
        for folder, value in (('a', 50), ('b', 100), ('c', 150))
    ]  # fmt: skip
    for sample in samples:
        hook.after_test_iter(None, 0, outputs=[sample])
    assert [path.name for path in hook.paths] == [
        'rainy_source_0001.png', 'rainy_source_0001_2.png', 'rainy_source_0001_3.png',
    ]  # fmt: skip
    values = [int(np.median(read_image(path))) for path in hook.paths]
    assert values == [50, 100, 150]
