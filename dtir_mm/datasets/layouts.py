"""The 14 data sets of Settings A and B: sources, published layouts, folders in our configs.

Configs read ``data/<name>/{train,test}/{LQ,GT}`` in Setting A and, as DA-CLIP lays it out,
``data/universal/{train,val}/<task>/{LQ,GT}`` in Setting B; ``tools/prepare_pairs.py link`` makes
both from what the authors publish. ``docs/datasets.md`` is this table for readers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dtir_mm.datasets.degradations import degradation_for
from dtir_mm.image_io import save_image
from dtir_mm.randomness import generator

DEGRADED, CLEAN = 'LQ', 'GT'
UNIVERSAL = {'train': 'train', 'test': 'val'}  # our names of the splits, DA-CLIP's
STEM = r'([^/]+)$'
_FIXTURE_SIZE = 48, 64
_FIXTURE_PAIRS = 2


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Args:
        pairs: number of pairs by the paper (G.1) or the authors; None if not stated.
        degraded: glob pattern of the degraded images in the unpacked download; None if the pairs
            are made by ``tools/prepare_pairs.py degrade``.
        clean: glob pattern of the clean images.
    """

    pairs: int | None
    degraded: str | None = None
    clean: str | None = None


@dataclass(frozen=True)
class Layout:
    """A data set as published, and as configs read it.

    Args:
        name: its folder in ``data`` in Setting A, and its name in tools.
        task: the degradation.
        train: training split; None if no config trains on it.
        test: test split.
        source: page of the authors, or of the download.
        evidence: source of the published layout; None if it could not be verified.
        key: regular expression searched in the published paths, without suffix, of both images of a
            pair; its groups, joined by "_", are the name of the pair.
        setting_a: splits used in Setting A.
        universal: folder in DA-CLIP's layout; None if the data set is not in Setting B.
    """

    name: str
    task: str
    train: Split | None
    test: Split
    source: str
    evidence: str | None
    key: str = STEM
    setting_a: tuple[str, ...] = ()
    universal: str | None = None

    def folders(self) -> Iterator[tuple[str, str]]:
        """The folders in ``data`` that contain ``LQ`` and ``GT``, each with its split."""
        for split in self.setting_a:
            yield f'{self.name}/{split}', split
        if self.universal:
            for split, theirs in UNIVERSAL.items():
                yield f'universal/{theirs}/{self.universal}', split

    def split(self, name: str) -> Split | None:
        """The split "train" or "test"; None if no config trains on the data set."""
        return {'train': self.train, 'test': self.test}[name]


_RAIN = 'https://www.icst.pku.edu.cn/struct/Projects/joint_rain_removal.html'
_DACLIP = 'https://github.com/Algolzw/daclip-uir'
_PRENET = 'https://github.com/csdwren/PReNet (DerainDataset.py)'

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            name='DF2K-noise',
            task='noisy',
            train=Split(3440),
            test=Split(68),
            source=_DACLIP,
            evidence=None,
            universal='noisy',
        ),
        Layout(
            name='Rain100L',
            task='rainy',
            train=Split(200, '**/rain-*', '**/norain-*'),
            test=Split(100, '**/rain-*', '**/norain-*'),
            source=_RAIN,
            evidence=_PRENET,
            key=r'(\d+)$',
            setting_a=('train', 'test'),
        ),
        Layout(
            name='Rain100H',
            task='rainy',
            train=Split(1800, '**/rain-*', '**/norain-*'),
            test=Split(100, '**/rain-*', '**/norain-*'),
            source=_RAIN,
            evidence=_PRENET,
            key=r'(\d+)$',
            setting_a=('test',),
            universal='rainy',
        ),
        Layout(
            name='DF2K-jpeg',
            task='jpeg',
            train=Split(3440),
            test=Split(29),
            source=_DACLIP,
            evidence=None,
            universal='jpeg-compressed',
        ),
        Layout(
            name='Snow100K',
            task='snowy',
            train=Split(1872, '**/synthetic/*', '**/gt/*'),
            test=Split(601, '**/Snow100K-L/synthetic/*', '**/Snow100K-L/gt/*'),
            source='https://sites.google.com/view/yunfuliu/desnownet',
            evidence='public loaders that read Snow100K-L/{synthetic,gt}',
            setting_a=('train', 'test'),
            universal='snowy',
        ),
        Layout(
            name='RealSnow',
            task='snowy',
            train=None,
            test=Split(None, '**/input/*', '**/gt/*'),
            source='https://github.com/zhuyr97/WGWS-Net',
            evidence=None,
            setting_a=('test',),
        ),
        Layout(
            name='CelebA-HQ',
            task='inpainting',
            train=Split(None),
            test=Split(100),
            source=_DACLIP,
            evidence=None,
            universal='uncompleted',
        ),
        Layout(
            name='RainDrop',
            task='raindrop',
            train=Split(861, '**/train/data/*', '**/train/gt/*'),
            test=Split(58, '**/test_a/data/*', '**/test_a/gt/*'),
            source='https://github.com/rui1996/DeRaindrop',
            evidence='public loaders that turn 0_rain.png into 0_clean.png',
            key=r'(\d+)(?:_rain|_clean)?$',
            universal='raindrop',
        ),
        Layout(
            name='SRD',
            task='shadowed',
            train=Split(2680, '**/[tT]rain/shadow/*', '**/[tT]rain/shadow_free/*'),
            test=Split(408, '**/[tT]est/shadow/*', '**/[tT]est/shadow_free/*'),
            source='https://github.com/Liangqiong/DeShadowNet',
            evidence='public loaders that add _no_shadow (train) and _free (test)',
            key=r'([^/]+?)(?:_no_shadow|_free)?$',
            universal='shadowed',
        ),
        Layout(
            name='LOL-v1',
            task='low_light',
            train=Split(485, '**/our485/low/*', '**/our485/high/*'),
            test=Split(15, '**/eval15/low/*', '**/eval15/high/*'),
            source='https://daooshee.github.io/BMVC2018website/',
            evidence='https://huggingface.co/datasets/apeanut/data4LLIE',
            setting_a=('train', 'test'),
            universal='low-light',
        ),
        Layout(
            name='LOL-v2',
            task='low_light',
            train=None,
            test=Split(100, '**/Real_captured/Test/Low/*', '**/Real_captured/Test/Normal/*'),
            source='https://github.com/flyywh/CVPR-2020-Semi-Low-Light',
            evidence='https://github.com/caiyuanhao1998/Retinexformer (README)',
            key=r'(?:low|normal)?(\d+)$',
            setting_a=('test',),
        ),
        Layout(
            name='RESIDE-6k',
            task='hazy',
            train=Split(6000, '**/train/hazy/*', '**/train/GT/*'),
            test=Split(1000, '**/test/hazy/*', '**/test/GT/*'),
            source='https://github.com/IDKiro/DehazeFormer',
            evidence='https://github.com/IDKiro/DehazeFormer (README, datasets/loader.py)',
            setting_a=('train', 'test'),
            universal='hazy',
        ),
        Layout(
            name='REVIDE',
            task='hazy',
            train=None,
            test=Split(None, '**/Test/hazy/*/*', '**/Test/gt/*/*'),
            source='https://github.com/BookerDeWitt/REVIDE_Dataset',
            evidence='public loaders that read Test/{hazy,gt}/<video>/00000.JPG',
            key=r'([^/]+)/(\d+)$',
            setting_a=('test',),
        ),
        Layout(
            name='GoPro',
            task='blurry',
            train=Split(2103, '**/train/*/blur/*', '**/train/*/sharp/*'),
            test=Split(1111, '**/test/*/blur/*', '**/test/*/sharp/*'),
            source='https://seungjunnah.github.io/Datasets/gopro.html',
            evidence='public READMEs of GOPRO_Large',
            key=r'(?:([^/]+)/(?:blur|sharp)/)?([^/]+)$',
            universal='motion-blurry',
        ),
    )
}


def layout_named(name: str) -> Layout:
    """The layout of a data set.

    Raises:
        KeyError: the name is unknown.
    """
    if name not in LAYOUTS:
        raise KeyError(f'unknown data set {name!r}; it must be one of {", ".join(LAYOUTS)}')
    return LAYOUTS[name]


def find_split(folder: str | Path) -> tuple[Layout, str] | None:
    """Identifies the data set and split of a folder by the end of its path.

    Args:
        folder: a folder of images, such as ``data/RESIDE-6k/train/LQ``.

    Returns:
        The layout and "train" or "test"; None for an unknown folder.
    """
    path = Path(folder)
    for layout in LAYOUTS.values():
        for known, split in layout.folders():
            wanted = known.split('/')
            if path.name in (DEGRADED, CLEAN) and list(path.parent.parts[-len(wanted) :]) == wanted:
                return layout, split
    return None


def generate_fixture(name: str, folder: str | Path) -> list[Path]:
    """Writes two synthetic pairs a split in the folders of a data set, to try configs with.

    The images are random, of 48 x 64 pixels, and the same in every call.

    Args:
        name: one of ``LAYOUTS``.
        folder: stands for ``data`` in the configs.

    Returns:
        The new folders, each with ``LQ`` and ``GT``.

    Raises:
        KeyError: the name is unknown.
        ValueError: one of the folders exists.
    """
    layout = layout_named(name)
    degradation = degradation_for(layout.task, 'source')
    made = [Path(folder) / known for known, _ in layout.folders()]
    if there := [str(path) for path in made if path.exists()]:
        raise ValueError(f'a fixture replaces nothing: {", ".join(there)} exists')
    for path, (_, split) in zip(made, layout.folders(), strict=True):
        for number in range(_FIXTURE_PAIRS):
            rng = generator(0, 'fixture', name, split, number)
            clean = _random_image(rng)
            save_image(path / CLEAN / f'{number:04d}.png', clean)
            save_image(path / DEGRADED / f'{number:04d}.png', degradation.degrade(clean, rng))
    return made


def _random_image(rng: np.random.Generator) -> np.ndarray:
    """Patches of colour with some noise: RGB uint8."""
    height, width = _FIXTURE_SIZE
    coarse = rng.uniform(20, 235, (height // 8, width // 8, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return (smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
