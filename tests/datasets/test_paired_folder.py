"""The user's own pairs are matched by stem, and errors name the file or folder."""

import numpy as np
import pytest

from dtir_mm.datasets import PairedFolderDataset
from dtir_mm.image_io import read_image, save_image

# Of a stem: the two files, which need not have the same format.
FILES = {'a': ('a.png', 'a.bmp'), 'b': ('b.bmp', 'b.PNG'), 'c.1': ('c.1.tif', 'c.1.webp')}


def random_image(seed, size=(12, 10)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture
def folders(tmp_path):
    """Folders ``degraded`` and ``clean`` of three pairs."""
    for seed, (degraded, clean) in enumerate(FILES.values()):
        save_image(tmp_path / 'degraded' / degraded, random_image(seed))
        save_image(tmp_path / 'clean' / clean, random_image(seed + 100))
    (tmp_path / 'clean' / 'a.txt').write_text('a note, which is no second image of its stem')
    return tmp_path


def pairs_of(root, **options):
    options = {'task': 'noisy', 'pipeline': [], **options}
    return PairedFolderDataset(str(root / 'degraded'), str(root / 'clean'), **options)


def test_files_with_the_same_stem_form_a_pair(folders):
    pairs = pairs_of(folders, pipeline=[{'type': 'PackSample'}])
    assert len(pairs) == 3
    for index, (degraded, clean) in enumerate(FILES.values()):
        sample = pairs[index]
        assert sample['path'] == str(folders / 'degraded' / degraded)
        for name, file in (('degraded', degraded), ('clean', clean)):
            image = read_image(folders / name / file)
            np.testing.assert_array_equal(sample[name].numpy(), image.transpose(2, 0, 1))
    np.testing.assert_array_equal(pairs.load(0)['degraded'], random_image(0))
    np.testing.assert_array_equal(pairs.load(0)['clean'], random_image(100))
    with pytest.raises(IndexError):
        pairs[3]


@pytest.mark.parametrize('domain', ['source', 'target'])
def test_samples_name_task_and_domain(folders, domain):
    pairs = pairs_of(folders, task='my own task', domain=domain)
    assert {(s['task'], s['domain']) for s in map(pairs.load, range(3))} == {
        ('my own task', domain)
    }
    assert pairs.tasks == ['my own task'] and pairs.metainfo == {'tasks': ['my own task']}
    assert pairs_of(folders)[0]['domain'] == 'source'


@pytest.mark.parametrize(('lacks', 'has'), [('degraded', 'clean'), ('clean', 'degraded')])
def test_a_missing_partner_is_named_with_the_folder_that_lacks_it(folders, lacks, has):
    save_image(folders / has / 'lonely.png', random_image(5))
    with pytest.raises(FileNotFoundError) as caught:
        pairs_of(folders)
    message = str(caught.value)
    assert "'lonely'" in message and str(folders / lacks) in message
    assert str(folders / has) not in message and "'a'" not in message


def test_the_first_five_missing_partners_are_named(folders):
    for i in range(7):
        save_image(folders / 'clean' / f'lonely_{i}.png', random_image(i))
    with pytest.raises(FileNotFoundError, match=r"^7 image.*'lonely_0'.*'lonely_4' \.\.\.$"):
        pairs_of(folders)


@pytest.mark.parametrize('name', ['degraded', 'clean'])
def test_two_images_of_one_stem_are_both_named(folders, name):
    save_image(folders / name / 'b.tif', random_image(7))
    with pytest.raises(ValueError) as caught:
        pairs_of(folders)
    files = [folders / name / file for file in (FILES['b'][name == 'clean'], 'b.tif')]
    assert all(str(file) in str(caught.value) for file in files)


def test_different_sizes_in_a_pair_are_rejected(folders):
    save_image(folders / 'clean' / 'b.PNG', random_image(8, (10, 12)))
    pairs = pairs_of(folders)
    with pytest.raises(ValueError) as caught:
        pairs[1]
    message = str(caught.value)
    assert f'{folders / "degraded" / "b.bmp"} is 12 x 10' in message
    assert f'{folders / "clean" / "b.PNG"} is 10 x 12' in message
    assert 'height x width' in message
