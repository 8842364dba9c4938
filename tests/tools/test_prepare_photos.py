"""tools/prepare_photos.py without network and apt: reuse, errors, fallbacks."""

import importlib
import io
from types import ModuleType

import numpy as np
import pytest
from photos import debian
from photos.preparation import SPLITS, read_manifest
from PIL import Image
from tqdm import tqdm

from dtir_mm.image_io import save_image


def status_of(tool: ModuleType, arguments: list[str]) -> int:
    """The exit status of a call that fails."""
    with pytest.raises(SystemExit) as leaving:
        tool.main(arguments)
    return leaving.value.code


@pytest.fixture
def tool(monkeypatch):
    def no_apt(arguments, folder):
        raise RuntimeError(f'there is no apt: {arguments}')

    monkeypatch.setattr(debian, 'run_apt', no_apt)
    return importlib.import_module('prepare_photos')


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'mine'
    for i in range(5):
        image = np.random.default_rng(i).integers(0, 256, (110, 120, 3), dtype=np.uint8)
        save_image(folder / f'{i}.png', image)
    return folder


def contents(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob('*')
        if file.is_file()
    }


def test_own_photographs_are_prepared_and_reused(tool, images, tmp_path, capsys):
    out = tmp_path / 'deep' / 'out'
    (images / 'broken.jpg').write_bytes(b'\xff\xd8\xff')
    tool.main([str(out), '--photos', str(images)])
    printed = capsys.readouterr().out
    assert 'broken.jpg' in printed and '1 of 6 photographs left out' in printed
    assert '5 photographs (train 3, val 1, test 1)' in printed
    assert [entry.name for entry in out.parent.iterdir()] == ['out'], 'something temporary is left'
    assert {file.split('/')[0] for file in contents(out)} == {*SPLITS, 'manifest.json'}

    before = contents(out)
    times = {file: file.stat().st_mtime_ns for file in out.rglob('*')}
    tool.main([str(out), '--photos', str(images)])
    assert 'Reusing' in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in out.rglob('*')} == times

    tool.main([str(tmp_path / 'again'), '--photos', str(images)])
    assert contents(tmp_path / 'again') == before, 'not deterministic'


def test_other_arguments_and_damaged_folders_need_overwrite(tool, images, tmp_path, capsys):
    out = tmp_path / 'out'
    arguments = [str(out), '--photos', str(images)]
    tool.main(arguments)
    before = contents(out)

    assert status_of(tool, [*arguments, '--split-seed', '3']) == 1
    error = capsys.readouterr().err
    assert "'split_seed': 0" in error and "'split_seed': 3" in error and '--overwrite' in error
    assert contents(out) == before

    lost = next(out.glob('train/*.png'))
    lost.unlink()
    assert status_of(tool, arguments) == 1
    error = capsys.readouterr().err
    assert str(lost) in error and '--overwrite' in error

    tool.main([*arguments, '--overwrite'])
    assert contents(out) == before
    tool.main([*arguments, '--split-seed', '3', '--overwrite'])
    assert read_manifest(out)['arguments']['split_seed'] == 3


def test_other_files_are_never_deleted(tool, images, tmp_path, capsys):
    out = tmp_path / 'out'
    (out / 'thesis').mkdir(parents=True)
    (out / 'thesis' / 'text.txt').write_text('years of work')
    arguments = [str(out), '--photos', str(images), '--overwrite']
    assert status_of(tool, arguments) == 1
    assert 'not made by this tool' in capsys.readouterr().err
    assert contents(out) == {'thesis/text.txt': b'years of work'}

    made = tmp_path / 'made'
    tool.main([str(made), '--photos', str(images)])
    (made / 'test' / 'mine.txt').write_text('a note')
    assert status_of(tool, [str(made), '--photos', str(images), '--overwrite']) == 1
    assert 'mine.txt' in capsys.readouterr().err
    assert (made / 'test' / 'mine.txt').exists()


def test_failures_leave_no_files(tool, images, tmp_path, monkeypatch, capsys):
    assert status_of(tool, [str(tmp_path / 'out'), '--photos', str(tmp_path / 'nowhere')]) == 1
    assert 'nowhere' in capsys.readouterr().err
    for file in sorted(images.iterdir())[2:]:
        file.write_text('no image')
    assert status_of(tool, [str(tmp_path / 'out'), '--photos', str(images)]) == 1
    error = capsys.readouterr().err
    assert f'{images}: 2 usable' in error and '2.png' in error

    monkeypatch.setattr(tool, 'write_photos', lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert status_of(tool, [str(tmp_path / 'out'), '--photos', str(images)]) == 130
    assert capsys.readouterr().err.endswith('prepare_photos: interrupted\n')
    assert [entry.name for entry in tmp_path.iterdir()] == ['mine']
    assert not tqdm._instances  # an open bar, collected later, breaks the lines of the next one


def test_an_empty_folder_is_used(tool, images, tmp_path):
    (tmp_path / 'out').mkdir()
    tool.main([str(tmp_path / 'out'), '--photos', str(images)])
    assert len(list((tmp_path / 'out' / 'train').iterdir())) == 3


def fake_package(name, scratch):
    """An unpacked package of four images, or of two wallpapers; others are not available."""
    if name == 'mate-backgrounds':
        for seed, title in enumerate(('Aqua', 'Dune')):
            colours = np.random.default_rng(seed).integers(0, 256, (300, 330, 3), dtype=np.uint8)
            save_image(scratch / name / f'usr/share/backgrounds/mate/nature/{title}.png', colours)
        return scratch / name
    if name != 'gcompris-qt-data':
        raise RuntimeError('unable to locate package')
    parts = [b'qres']
    for seed in range(4):
        buffer = io.BytesIO()
        colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((330, 310)).save(buffer, 'WEBP')
        parts += [len(buffer.getvalue()).to_bytes(4, 'big'), buffer.getvalue()]
    file = scratch / name / 'usr' / 'share' / 'gcompris-qt' / 'rcc' / 'erase.rcc'
    file.parent.mkdir(parents=True)
    file.write_bytes(b''.join(parts))
    return scratch / name


def test_available_packages_are_used_and_others_reported(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(debian, 'fetch_package', fake_package)
    tool.main([str(tmp_path / 'out')])
    printed = capsys.readouterr().out
    assert 'palapeli-data is not available: unable to locate package' in printed
    assert 'gcompris-qt-data: 4 photographs' in printed
    manifest = read_manifest(tmp_path / 'out')
    assert manifest['arguments'] == {'packages': 'small', 'split_seed': 0}
    names = [f'gcompris-qt-data__erase_{i:02d}' for i in range(4)]
    assert [record['name'] for record in manifest['photos']] == names
    assert all('GPL-3+' in record['licence'] for record in manifest['photos'])


def test_all_packages_keep_the_val_and_test_photographs_of_the_small_set(
    tool, tmp_path, monkeypatch
):
    monkeypatch.setattr(debian, 'fetch_package', fake_package)
    small, large = tmp_path / 'small', tmp_path / 'large'
    tool.main([str(small)])
    tool.main([str(large), '--packages', 'all'])
    assert read_manifest(large)['arguments']['train_only'][1] == 'lxqt-themes'
    splits = {out: {photo['name']: photo['split'] for photo in read_manifest(out)['photos']}
              for out in (small, large)}  # fmt: skip
    extra = {f'mate-backgrounds__{title}': 'train' for title in ('Aqua', 'Dune')}
    assert splits[large] == splits[small] | extra and len(splits[small]) == 4


def test_without_apt_python_packages_are_used(tool, tmp_path, monkeypatch, capsys):
    pytest.importorskip('skimage')
    pytest.importorskip('sklearn')
    monkeypatch.chdir(tmp_path)
    tool.main(['data/out'])
    printed = capsys.readouterr().out
    assert 'NO DEBIAN PACKAGES: using the 6 photographs in scikit-image' in printed
    assert 'there is no apt' in printed and '--photos DIR' in printed
    assert f'Lists={tmp_path}' in printed, 'apt-get runs elsewhere and needs an absolute path'


def test_without_any_source_the_error_names_an_option(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, 'python_package_photos', lambda: [])
    assert status_of(tool, [str(tmp_path / 'out')]) == 1
    assert '--photos DIR' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
