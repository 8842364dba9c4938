"""Downloads become pairs with equal names; synthetic pairs follow the paper."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dtir_mm.datasets.base_dataset import spread
from dtir_mm.datasets.layouts import LAYOUTS
from dtir_mm.datasets.pair_preparation import (
    PairMaker,
    clean_images,
    fill_holes,
    place,
    published_pairs,
)
from dtir_mm.image_io import read_image, save_image

# Of a split: the files as they are published, degraded and clean, and the names of the pairs.
DOWNLOADS = {
    ('GoPro', 'train'): {
        'A_01_000047': ('G/train/A_01/blur/000047.png', 'G/train/A_01/sharp/000047.png'),
        'B_02_000047': ('G/train/B_02/blur/000047.png', 'G/train/B_02/sharp/000047.png'),
    },
    ('Rain100H', 'train'): {
        '1': ('rain-1.png', 'norain-1.png'),
        '12': ('rain-12.png', 'norain-12.png'),
    },
    ('Rain100L', 'test'): {'001': ('Rain100L/rainy/rain-001.png', 'Rain100L/norain-001.png')},
    ('RainDrop', 'test'): {'7': ('test_a/data/7_rain.png', 'test_a/gt/7_clean.png')},
    ('SRD', 'train'): {
        'IMG_1': ('Train/shadow/IMG_1.jpg', 'Train/shadow_free/IMG_1_no_shadow.jpg')
    },
    ('SRD', 'test'): {'IMG_1': ('test/shadow/IMG_1.jpg', 'test/shadow_free/IMG_1_free.jpg')},
    ('LOL-v1', 'train'): {'2': ('our485/low/2.png', 'our485/high/2.png')},
    ('LOL-v2', 'test'): {
        '00690': (
            'LOL-v2/Real_captured/Test/Low/low00690.png',
            'LOL-v2/Real_captured/Test/Normal/normal00690.png',
        )
    },
    ('REVIDE', 'test'): {'W2_00000': ('R/Test/hazy/W2/00000.JPG', 'R/Test/gt/W2/00000.JPG')},
    ('RESIDE-6k', 'train'): {'1_0.8_0.2': ('train/hazy/1_0.8_0.2.jpg', 'train/GT/1_0.8_0.2.jpg')},
    ('Snow100K', 'train'): {'city_1': ('all/synthetic/city_1.jpg', 'all/gt/city_1.jpg')},
    # DA-CLIP's own folders, which it pairs by their order.
    ('RainDrop', 'train'): {'0': ('LQ/0_rain.png', 'GT/0_clean.png')},
    ('DF2K-jpeg', 'test'): {'bikes': ('LQ/bikes.png', 'GT/bikes.bmp')},
}


def random_image(seed: int, size=(24, 32)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


@pytest.mark.parametrize(('name', 'split'), DOWNLOADS)
def test_pairs_are_found_in_what_the_authors_publish(tmp_path, name, split):
    expected = DOWNLOADS[name, split]
    for files in expected.values():
        write(tmp_path, *files)
    write(tmp_path, 'readme.txt', 'LQ/notes.txt' if 'LQ' in str(expected) else 'notes.txt')
    pairs = published_pairs(LAYOUTS[name], split, tmp_path)
    assert pairs == {key: tuple(tmp_path / f for f in files) for key, files in expected.items()}


def test_unpaired_files_are_rejected(tmp_path):
    write(tmp_path, 'our485/low/1.png', 'our485/low/2.png', 'our485/high/1.png')
    with pytest.raises(ValueError, match='our485/low/2.png'):
        published_pairs(LAYOUTS['LOL-v1'], 'train', tmp_path)
    with pytest.raises(FileNotFoundError, match='eval15/low'):
        published_pairs(LAYOUTS['LOL-v1'], 'test', tmp_path)
    write(tmp_path, 'a/rain-1.png', 'b/rain-1.png', 'norain-1.png')
    with pytest.raises(ValueError, match="b/rain-1.png would both be named '1'"):
        published_pairs(LAYOUTS['Rain100H'], 'train', tmp_path)
    write(tmp_path, 'train/data/x.png', 'train/gt/x.png')
    with pytest.raises(ValueError, match='x.png does not match the names of RainDrop'):
        published_pairs(LAYOUTS['RainDrop'], 'train', tmp_path)
    with pytest.raises(ValueError, match='made by `degrade`'):
        published_pairs(LAYOUTS['DF2K-noise'], 'train', tmp_path)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        published_pairs(LAYOUTS['LOL-v1'], 'train', tmp_path / 'nowhere')


def test_spread_selects_evenly():
    assert spread(list('abcdefgh'), 4) == list('aceg')
    assert spread(list('abc'), 3) == list('abc')
    with pytest.raises(ValueError, match='there are 3'):
        spread(list('abc'), 4)


@pytest.mark.parametrize('copy', [False, True], ids=['link', 'copy'])
def test_files_are_placed_once_and_never_replaced(tmp_path, copy):
    write(tmp_path, 'a.png', 'other.png')
    target = tmp_path / 'deep' / 'b.png'
    for _ in range(2):
        place(tmp_path / 'a.png', target, copy)
    assert target.read_bytes() == b'a.png' and target.is_symlink() is not copy
    with pytest.raises(ValueError, match='b.png'):
        place(tmp_path / 'other.png', target, copy)
    assert target.read_bytes() == b'a.png'


def test_jpeg_is_of_quality_10(tmp_path):
    clean = np.kron(random_image(0, (6, 8)), np.ones((8, 8, 1), np.uint8))
    save_image(tmp_path / 'a.png', clean)
    PairMaker('jpeg', tmp_path / 'out')(tmp_path / 'a.png')
    degraded = read_image(tmp_path / 'out' / 'LQ' / 'a.png')
    assert (tmp_path / 'out' / 'GT' / 'a.png').resolve() == tmp_path / 'a.png'
    stored = io.BytesIO()
    Image.fromarray(clean).save(stored, 'JPEG', quality=10)
    reference = np.asarray(Image.open(stored)).astype(int)
    # Another decoder of the same file: it rounds otherwise, and no other quality is as near.
    assert np.abs(degraded - reference).mean() < 1
    assert np.abs(degraded - clean.astype(int)).mean() > 5


def test_noise_has_sigma_50_and_does_not_wrap_around(tmp_path):
    for name, value in (('grey', 128), ('black', 0), ('white', 255)):
        save_image(tmp_path / f'{name}.png', np.full((100, 100, 3), value, np.uint8))
        PairMaker('noisy', tmp_path)(tmp_path / f'{name}.png')
    grey, black, white = (
        read_image(tmp_path / 'LQ' / f'{name}.png').astype(float)
        for name in ('grey', 'black', 'white')
    )
    # Of a normal distribution clipped at 128 / 50 standard deviations.
    assert grey.std() == pytest.approx(49.4, abs=1)
    # Half of it is cut off; what is left has mean 50 / sqrt(2 pi). Wrapped around it would be 127.
    assert black.mean() == pytest.approx(50 / np.sqrt(2 * np.pi), abs=1)
    assert white.mean() == pytest.approx(255 - 50 / np.sqrt(2 * np.pi), abs=1)


def test_holes_of_a_mask_are_white(tmp_path):
    image = random_image(1)
    mask = np.full((48, 64, 3), 255, np.uint8)
    mask[10:20, 32:] = 0
    filled = fill_holes(image, mask)
    assert (filled[5:10, 16:] == 255).all()
    filled[5:10, 16:] = image[5:10, 16:]
    np.testing.assert_array_equal(filled, image)
    half = fill_holes(np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 51, np.uint8))
    assert (half == 204).all(), 'mask * image + (1 - mask)'


def test_pairs_depend_only_on_the_name_and_are_made_once(tmp_path):
    masks = []
    for number in range(20):
        mask = np.full((24, 32, 3), 255, np.uint8)
        mask[number] = 0
        masks.append(tmp_path / 'masks' / f'{number}.png')
        save_image(masks[-1], mask)
    for name in 'abcdef':
        save_image(tmp_path / f'{name}.png', random_image(2) // 2)
    makers = {
        'noisy': PairMaker('noisy', tmp_path / 'noisy'),
        'strokes': PairMaker('inpainting', tmp_path / 'strokes'),
        'masks': PairMaker('inpainting', tmp_path / 'holes', masks=tuple(masks)),
    }
    for maker in makers.values():
        contents = {}
        for name in 'abcdef':
            maker(tmp_path / f'{name}.png')
            contents[name] = (maker.out / 'LQ' / f'{name}.png').read_bytes()
        assert len(set(contents.values())) > 3, 'names draw otherwise'
        kept = maker.out / 'LQ' / 'a.png'
        kept.unlink()
        maker(tmp_path / 'a.png')
        assert kept.read_bytes() == contents['a']
        kept.write_bytes(b'mine')
        maker(tmp_path / 'a.png')
        assert kept.read_bytes() == b'mine'
    with pytest.raises(ValueError, match='masks are for inpainting'):
        PairMaker('noisy', tmp_path, masks=tuple(masks))
    with pytest.raises(ValueError, match='rainy'):
        PairMaker('rainy', tmp_path)


def test_clean_images_of_several_folders(tmp_path):
    write(tmp_path, 'DIV2K/0001.png', 'Flickr2K/000001.png', 'more/0001.jpg')
    folders = [tmp_path / 'DIV2K', tmp_path / 'Flickr2K']
    assert [file.name for file in clean_images(folders)] == ['0001.png', '000001.png']
    with pytest.raises(ValueError, match='0001.jpg have the same stem'):
        clean_images([*folders, tmp_path / 'more'])
