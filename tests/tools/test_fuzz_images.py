"""200 unusual image files: each is restored correctly or reported, and no tool fails on one."""

import re
import unicodedata

import numpy as np
import pytest
from odd_files import make_files
from PIL import Image

from dtir_mm.datasets import PairedFolderDataset
from dtir_mm.image_io import read_image
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.names import shown

COUNT, SEED = 200, 14
OTHERS = ['notes.txt', 'Thumbs.db', 'clip.mpg', '.hidden.png', '._a.jpg', 'no suffix']

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning:PIL')


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """The files in ``LQ``, beside others that are not images, with partners in ``GT``."""
    folder = tmp_path_factory.mktemp('fuzz')
    made = make_files(folder / 'LQ', COUNT, SEED)
    for name in OTHERS:
        (folder / 'LQ' / name).write_bytes(b'no image')
    (folder / 'GT').mkdir()
    for file in made:
        other = 'NFD' if unicodedata.is_normalized('NFC', file.path.stem) else 'NFC'
        partner = unicodedata.normalize(other, file.path.stem)
        image = np.zeros((9, 9, 3), np.uint8) if file.image is None else file.image
        Image.fromarray(image).save(folder / 'GT' / f'{partner}.png')
    return made


@pytest.fixture
def folder(files):
    return files[0].path.parents[1]


def test_restore(files, folder, toy, tmp_path, capsys, monkeypatch):
    # A network that changes nothing, so that results can be compared with inputs.
    monkeypatch.setattr(Restorer, '_restore_padded', lambda self, image, t: image)
    out = tmp_path / 'out'
    message = toy.call('restore', toy.finetune, folder / 'LQ', out, '--format', 'png')
    printed = capsys.readouterr()
    results = {path.name: path for path in out.glob('*.png')}
    for file in files:
        named = f'\n  {shown(file.path)} ' in message
        result = results.pop(f'{file.path.stem}.png', None)
        assert (result is None) == named, f'{file.kind}: {shown(file.path)}'
        assert named or file.shows(read_image(result)), f'{file.kind}: {shown(file.path)}'
        expected = file.cut or file.image is None or file.has_frames
        assert not named or expected, f'{file.kind}: {message}'
    assert not results
    failed = int(re.match(r'restore: not restored: (\d+) image', message)[1])
    assert failed == len(message.splitlines()) - 1 > 20
    assert f'restored {COUNT - failed} image(s)' in printed.out
    assert f'{len(OTHERS)} skipped (not an image, hidden, or a folder)' in printed.out
    assert all(name in printed.out for name in OTHERS)
    for note in ('EXIF', 'CMYK'):
        assert note in printed.out
    assert 'Traceback' not in printed.err + message


def test_paired_folders(files, folder):
    pairs = PairedFolderDataset(str(folder / 'LQ'), str(folder / 'GT'), 'noisy', [])
    assert len(pairs) == COUNT
    at = {str(degraded): index for index, (degraded, _) in enumerate(pairs.pairs)}
    for file in files:
        try:
            sample = pairs.load(at[str(file.path)])
        except ValueError as error:
            assert shown(file.path) in str(error)
            assert file.cut or file.image is None, f'{file.kind}: {error}'
        else:
            assert file.shows(sample['degraded']), f'{file.kind}: {shown(file.path)}'
            assert np.array_equal(sample['clean'], file.image), f'{file.kind}: {sample["path"]}'


def test_check_data(files, folder, toy, tmp_path, capsys):
    data = {
        'type': 'PairedFolderDataset', 'degraded': f'{folder}/LQ', 'clean': f'{folder}/GT',
        'task': 'rainy', 'pipeline': [{'type': 'PackSample'}],
    }  # fmt: skip
    config = tmp_path / 'config.py'
    config.write_text(f'train_dataloader = dict(dataset={data})\n')
    assert toy.call('check_data', config, '--workers', 1) == 1
    printed = capsys.readouterr()
    unreadable = [line for line in printed.out.splitlines() if line.startswith('unreadable:')]
    for file in files:
        named = [line for line in unreadable if f' {shown(file.path)} ' in line]
        assert len(named) <= 1 and (named or file.image is not None), file.kind
        assert not named or file.cut or file.image is None, f'{file.kind}: {named}'
    assert f'{2 * COUNT} images decoded' in printed.out.splitlines()[-1]
    assert f'{len(unreadable)} x unreadable' in printed.out.splitlines()[-1]
    assert 'missing partner' not in printed.out and 'sizes differ' not in printed.out
    assert f'left out: {folder}/LQ: {len(OTHERS)} skipped' in printed.out
    assert 'Traceback' not in printed.err
