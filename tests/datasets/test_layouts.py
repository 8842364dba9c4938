"""The table of data sets against configs, the paper's counts and the docs, and its fixtures."""

import filecmp
from pathlib import Path

import pytest
from mmengine.config import Config

from dtir_mm.datasets import CleanPhotosDataset, PairedFolderDataset
from dtir_mm.datasets.layouts import LAYOUTS, find_split, generate_fixture

ROOT = Path(__file__).resolve().parents[2]
BASES = sorted((ROOT / 'configs' / '_base_' / 'datasets').glob('setting_*.py'))


def folders_of(config) -> set[str]:
    """Every folder that a part of a config names."""
    if isinstance(config, dict):
        names = {config[key] for key in ('degraded', 'clean', 'folder') if key in config}
        return names.union(*map(folders_of, config.values()))
    if isinstance(config, list):
        return set().union(*map(folders_of, config))
    return set()


def test_the_fourteen_sets_have_the_counts_of_the_paper():
    """Section G.1, and method.md for what the paper leaves out."""
    counts = {
        name: (layout.train and layout.train.pairs, layout.test.pairs)
        for name, layout in LAYOUTS.items()
    }
    assert counts == {
        'GoPro': (2103, 1111),
        'RESIDE-6k': (6000, 1000),
        'DF2K-jpeg': (3440, 29),
        'LOL-v1': (485, 15),
        'DF2K-noise': (3440, 68),
        'RainDrop': (861, 58),
        'Rain100H': (1800, 100),
        'SRD': (2680, 408),
        'Snow100K': (1872, 601),
        'CelebA-HQ': (None, 100),
        'REVIDE': (None, None),
        'Rain100L': (200, 100),
        'RealSnow': (None, None),
        'LOL-v2': (None, 100),
    }
    assert sum(layout.universal is not None for layout in LAYOUTS.values()) == 10


@pytest.mark.parametrize('base', BASES, ids=lambda base: base.stem)
def test_every_folder_of_the_configs_has_a_layout(base):
    folders = folders_of(Config.fromfile(base).to_dict())
    assert folders
    assert [folder for folder in folders if find_split(folder) is None] == []


def test_the_configs_read_every_folder_of_the_layouts():
    read = set().union(*(folders_of(Config.fromfile(base).to_dict()) for base in BASES))
    described = {known for layout in LAYOUTS.values() for known, _ in layout.folders()}
    assert {f'data/{known}/{kind}' for known in described for kind in ('LQ', 'GT')} == read


def test_folders_are_recognised_by_the_end_of_their_path():
    layout, split = find_split('/any/where/universal/val/motion-blurry/GT')
    assert (layout.name, split) == ('GoPro', 'test')
    layout, split = find_split(Path('data/LOL-v1/train/LQ'))
    assert (layout.name, split) == ('LOL-v1', 'train')
    for folder in ('data/LOL-v1/train', 'data/LOL-v1/train/low', 'LOL-v1/mine/LQ', 'LQ', ''):
        assert find_split(folder) is None, folder


@pytest.mark.parametrize('name', LAYOUTS)
def test_fixtures_are_valid_pairs_where_configs_look(tmp_path, name):
    made = generate_fixture(name, tmp_path)
    assert made == [tmp_path / known for known, _ in LAYOUTS[name].folders()]
    for folder in made:
        pairs = PairedFolderDataset(f'{folder}/LQ', f'{folder}/GT', LAYOUTS[name].task, [])
        assert len(pairs) == len(CleanPhotosDataset(f'{folder}/GT', [])) == 2
        for index in range(2):
            sample = pairs.load(index)
            assert (sample['degraded'] != sample['clean']).mean() > 0.02
    with pytest.raises(ValueError, match='replaces nothing'):
        generate_fixture(name, tmp_path)


def test_fixtures_are_the_same_each_time_and_training_differs_from_test(tmp_path):
    for folder in 'ab':
        generate_fixture('LOL-v1', tmp_path / folder)
    files = [
        f'LOL-v1/{split}/{kind}/0000.png' for split in ('train', 'test') for kind in ('LQ', 'GT')
    ]
    same, *different = filecmp.cmpfiles(tmp_path / 'a', tmp_path / 'b', files, shallow=False)
    assert same == files and different == [[], []]
    contents = {(tmp_path / 'a' / file).read_bytes() for file in files}
    assert len(contents) == 4


def test_unknown_data_sets_list_the_known_ones(tmp_path):
    with pytest.raises(KeyError, match='RESIDE-6k'):
        generate_fixture('RESIDE', tmp_path)


def rows_of_the_page(heading: str) -> list[list[str]]:
    """The cells of the table below a heading of ``docs/datasets.md``."""
    page = (ROOT / 'docs' / 'datasets.md').read_text()
    lines = page.split(f'## {heading}\n')[1].split('\n## ')[0].splitlines()
    rows = [[cell.strip() for cell in line[1:-1].split(' | ')] for line in lines if line[:1] == '|']
    return rows[2:]


def test_the_page_names_the_same_sets_counts_and_folders():
    def pairs(split) -> str:
        return '-' if split is None else str(split.pairs or '?')

    assert rows_of_the_page('Which, how many, where') == [
        [
            f'[{layout.name}]({layout.source})',
            layout.task,
            f'{pairs(layout.train)} / {pairs(layout.test)}',
            ', '.join(f'`{known}`' for known, _ in layout.folders()),
        ]
        for layout in LAYOUTS.values()
    ]


def test_the_page_describes_the_same_downloads():
    assert rows_of_the_page('How they are published') == [
        [layout.name, split, f'`{layout.split(split).degraded}`', f'`{layout.split(split).clean}`']
        for layout in LAYOUTS.values()
        for split in ('train', 'test')
        if layout.split(split) is not None and layout.split(split).degraded is not None
    ]


def test_the_page_lists_the_synthetic_pairs():
    assert {row[0] for row in rows_of_the_page('Synthetic pairs')} == {
        layout.name for layout in LAYOUTS.values() if layout.test.degraded is None
    }
