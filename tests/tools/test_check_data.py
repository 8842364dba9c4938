"""tools/check_data.py: what it reports, and its exit status."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dtir_mm.datasets.layouts import generate_fixture
from dtir_mm.image_io import read_image, save_image

ROOT = Path(__file__).resolve().parents[2]


CONFIG = """
train_dataloader, test_dataloader = (
    dict(dataset=dict(type='PairedFolderDataset', task='any', pipeline=[dict(type='PackSample')],
                      degraded=f'data/{folder}/LQ', clean=f'data/{folder}/GT'))
    for folder in ('LOL-v1/test', 'RealSnow/test')
)
"""


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """A config that trains on 15 pairs of LOL-v1 and tests on 15 of RealSnow."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('dtir_mm.datasets.layouts._FIXTURE_PAIRS', 15)
    for name in ('LOL-v1', 'RealSnow'):
        generate_fixture(name, 'data')
    (tmp_path / 'config.py').write_text(CONFIG)


def test_valid_data_sets_pass(sets, run_tool):
    printed = run_tool('check_data', 'config.py', '--workers', 2)
    assert printed.splitlines()[-1] == (
        '60 images decoded; counts, pairs, sizes and duplicates between training and test '
        'compared: no fault'
    )
    assert '      15        15  training  data/LOL-v1/test/LQ' in printed
    assert '      15   unknown  test      data/RealSnow/test/GT' in printed


def test_each_problem_is_reported_with_status_1(sets, toy, capsys):
    Path('data/LOL-v1/test/LQ/0003.png').unlink()
    truncated = Path('data/RealSnow/test/GT/0001.png')
    truncated.write_bytes(truncated.read_bytes()[:1000])
    leak = Path('data/RealSnow/test/GT/0012.png')
    save_image(leak, read_image('data/LOL-v1/test/GT/0007.png'))
    assert toy.call('check_data', 'config.py', '--workers', 1) == 1
    printed = capsys.readouterr().out
    for line in (
        'wrong count:     data/LOL-v1/test/LQ contains 14 images, LOL-v1 (test) has 15',
        'missing partner: data/LOL-v1/test/GT/0003.png has no file with the same stem in '
        'data/LOL-v1/test/LQ',
        f'unreadable:      {truncated} is a broken or unsupported image',
        f'duplicate:       {leak} (test) is a near-duplicate of data/LOL-v1/test/GT/0007.png ',
    ):
        assert line in printed
    assert '1 x wrong count, 1 x missing partner, 1 x unreadable, 1 x duplicate' in printed


def test_fixtures_from_the_command_line(run_tool, failure_of, tmp_path):
    printed = run_tool('check_data', '--generate-fixture', 'GoPro', tmp_path)
    assert printed.splitlines() == [
        f'{tmp_path}/universal/{split}/motion-blurry' for split in ('train', 'val')
    ]
    assert 'replaces nothing' in failure_of('check_data', '--generate-fixture', 'GoPro', tmp_path)
    config = tmp_path / 'own.py'
    config.write_text("train_dataloader = dict(dataset=dict(type='PairedFolderDataset'))\n")
    assert 'PairedFolderDataset needs degraded, clean' in failure_of('check_data', config)


def test_other_files_transparency_and_broken_links_are_reported(toy, tmp_path, capsys):
    rgb = np.random.default_rng(0).integers(0, 256, (40, 48, 4), dtype=np.uint8)
    for folder in ('LQ', 'GT'):
        (tmp_path / folder / 'sub').mkdir(parents=True)
        for number in range(3):
            save_image(tmp_path / folder / f'{number}.png', rgb[..., :3] // (number + 1))
    Image.fromarray(rgb).save(tmp_path / 'LQ' / '1.png')
    (tmp_path / 'LQ' / '2.png').unlink()
    (tmp_path / 'LQ' / '2.png').symlink_to('gone.png')
    data = {
        'type': 'PairedFolderDataset', 'degraded': f'{tmp_path}/LQ', 'clean': f'{tmp_path}/GT',
        'task': 'rainy', 'pipeline': [{'type': 'PackSample'}],
    }  # fmt: skip
    (tmp_path / 'config.py').write_text(f'train_dataloader = dict(dataset={data})\n')
    assert toy.call('check_data', tmp_path / 'config.py', '--workers', 1) == 1
    lines = capsys.readouterr().out.splitlines()
    lost = tmp_path / 'LQ' / '2.png'
    assert f'unreadable:      no such image file: {lost} (a link to gone.png)' in lines
    for folder in ('LQ', 'GT'):
        name = f'{tmp_path}/{folder}'
        assert f'left out: {name}: 1 skipped (not an image, hidden, or a folder): sub/' in lines
    note = 'note: transparency was dropped, the colours below it are kept'
    assert f'{note}: 1 image(s): {tmp_path}/LQ/1.png' in lines
    assert lines[-1].startswith('6 images decoded') and lines[-1].endswith(': 1 x unreadable')


MODEL = """
_base_ = ['{root}/configs/mini/quick_dtir-unet-w16_finetune_noisy_b8-1000.py']
pairs = dict(_delete_=True, type='PairedFolderDataset', degraded='{data}', clean='{data}')
train_dataloader = dict(
    dataset=dict(
        pairs, task='foggy',
        pipeline=[dict(type='RandomPatch', size=33), dict(type='PackSample')],
    )
)
val_dataloader = dict(
    batch_size=2, dataset=dict(pairs, task='foggy', pipeline=[dict(type='PackSample')])
)
test_dataloader = dict(dataset=dict(pairs, task='misty', pipeline=[dict(type='PackSample')]))
model = dict(timesteps=dict(_delete_=True, foggy=40))
"""


def test_sizes_and_tasks_that_the_model_does_not_accept_are_reported(toy, capsys, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    save_image(tmp_path / 'data' / 'a.png', pixels)
    save_image(tmp_path / 'data' / 'b.png', pixels[:30, ::-1])
    config = tmp_path / 'config.py'
    config.write_text(MODEL.format(root=ROOT, data=tmp_path / 'data'))
    assert toy.call('check_data', config, '--workers', 1) == 1
    printed = capsys.readouterr().out
    a, b = tmp_path / 'data' / 'a.png', tmp_path / 'data' / 'b.png'
    for line in (
        f'model:           train_dataloader: {a} gives 33 x 33 pixels to train on: the network '
        f'takes sides of multiples of 4, from 4 on. Cut patches of such a size (RandomPatch in its '
        f'dataset.pipeline), e.g. size=36',
        f'model:           val_dataloader: a batch cannot hold images of two sizes: {a} gives '
        f'40 x 50 pixels, {b} gives 30 x 50 pixels. Set val_dataloader.batch_size=1, or cut '
        f'patches (RandomPatch)',
        "model:           test_dataloader: unknown task 'misty': time steps are known for foggy "
        '(t=40). Match it with',
    ):
        assert line in printed
    assert printed.splitlines()[-1].endswith('3 x model')
