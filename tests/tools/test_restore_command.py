"""``dtir-mm restore``: results beside images, their record, and what is never overwritten."""

import json
import os

import numpy as np
import pytest

from dtir_mm import __version__
from dtir_mm.apis import load_restorer, restore_file, restore_pixels
from dtir_mm.apis.restore_run import Run
from dtir_mm.apis.restored_json import Record
from dtir_mm.image_io import read_image, save_image
from dtir_mm.models.restorers.restorer import Restorer


@pytest.fixture(autouse=True)
def released(toy, monkeypatch):
    """The toy is the model that comes with the package."""
    monkeypatch.setattr('dtir_mm.commands.restore.released_model', lambda: toy.finetune)


@pytest.fixture
def photos(tmp_path):
    """A folder with three small images."""
    rng = np.random.default_rng(0)
    for name in ('a.png', 'b.png', 'x/c.png'):
        save_image(tmp_path / 'in' / name, rng.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    return tmp_path / 'in'


@pytest.fixture
def unchanging(monkeypatch):
    """A network that changes nothing, and takes no time."""
    monkeypatch.setattr(Restorer, '_restore_padded', lambda self, image, t: image)


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob('*.*')}


def record(folder):
    return json.loads((folder / 'restored.json').read_text())['images']


def test_two_words_restore_a_photo(toy, photos, run_tool):
    before = names(photos)
    printed = run_tool('restore', photos / 'a.png')
    assert names(photos) - before == {'a_restored.png'}
    expected = restore_pixels(load_restorer(toy.finetune), read_image(photos / 'a.png'), 8)
    assert (expected != read_image(photos / 'a.png')).any()
    np.testing.assert_array_equal(read_image(photos / 'a_restored.png'), expected)
    assert f'{photos}/a.png -> {photos}/a_restored.png: t = 8\n' in printed
    assert 'restored 1 image(s) in ' in printed


def test_a_folder_has_its_results_beside_it_with_a_record(toy, photos, run_tool, unchanging):
    run_tool('restore', photos)
    out = photos.with_name('in_restored')
    assert names(out) == {'a.png', 'b.png', 'restored.json'}
    run_tool('restore', photos, '-r', '--skip-existing', '--strength', 0.5, '--tile', 16)
    assert names(out) == {'a.png', 'b.png', 'x/c.png', 'restored.json'}
    images = record(out)
    assert list(images) == ['a.png', 'b.png', 'x/c.png']
    seconds = images['x/c.png'].pop('seconds')
    assert 0 < seconds < 60
    (note,) = images['x/c.png'].pop('notes')
    assert 'over each tile of 16 pixels' in note
    assert images['x/c.png'] == {
        'source': f'{photos}/x/c.png',
        'size': [24, 20],
        'task': None,
        'probability': None,
        't': 8,
        'checkpoint': str(toy.finetune),
        'version': __version__,
        'strength': 0.5,
        'ensemble': False,
        'tile': 16,
        'precision': 'fp32',
    }
    assert [images[name]['strength'] for name in ('a.png', 'b.png')] == [1.0, 1.0]


def test_a_file_of_that_name_which_is_no_record_is_kept(photos, failure_of, tmp_path, unchanging):
    for content in ('{}', '[1]', '{"images": []}', 'no JSON'):
        (tmp_path / 'restored.json').write_text(content)
        message = failure_of('restore', photos, '-o', tmp_path)
        assert f'{tmp_path}/restored.json is not ' in message
        assert (tmp_path / 'restored.json').read_text() == content
    assert not (tmp_path / 'a.png').exists()


def test_an_interrupted_call_keeps_what_it_did(toy, photos, tmp_path, monkeypatch, capsys):
    def interrupted(self, part, size, t):
        if (tmp_path / 'out' / 'a.png').exists():
            raise KeyboardInterrupt
        return usual(self, part, size, t)

    usual = Restorer.restored_rows
    monkeypatch.setattr(Restorer, 'restored_rows', interrupted)
    assert toy.call('restore', photos, '-o', tmp_path / 'out') == 130
    assert 'restore: interrupted; continue with --skip-existing' in capsys.readouterr().err
    assert names(tmp_path / 'out') == {'a.png', 'restored.json'}
    assert list(record(tmp_path / 'out')) == ['a.png']


def test_strength_ensemble_and_tiles_reach_the_restorer(toy, photos, run_tool, tmp_path):
    image = read_image(photos / 'a.png')
    whole = restore_pixels(load_restorer(toy.finetune), image, 8)
    flipped = restore_pixels(load_restorer(toy.finetune, ensemble=True), image, 8)
    assert (flipped != whole).any()
    run_tool('restore', photos / 'a.png', '-o', tmp_path / 'e.png', '--ensemble')
    np.testing.assert_array_equal(read_image(tmp_path / 'e.png'), flipped)
    run_tool('restore', photos / 'a.png', '-o', tmp_path / 's.png', '--strength', '0.25')
    blend = 0.25 * whole.astype(float) + 0.75 * image
    assert np.abs(read_image(tmp_path / 's.png') - blend).max() <= 0.63  # both are rounded
    run_tool('restore', photos / 'a.png', '-o', tmp_path / 'h.png', '--precision', 'bf16')
    half = np.abs(read_image(tmp_path / 'h.png').astype(int) - whole)
    assert 0 < half.mean() < 2


def test_comparisons_show_the_image_and_the_result(photos, run_tool, tmp_path):
    run_tool('restore', photos, '-o', tmp_path / 'out', '--compare', '--format', 'bmp')
    assert names(tmp_path / 'out') == {
        'a.bmp', 'a_compare.png', 'b.bmp', 'b_compare.png', 'restored.json',
    }  # fmt: skip
    both = read_image(tmp_path / 'out' / 'b_compare.png')
    np.testing.assert_array_equal(both[:, :24], read_image(photos / 'b.png'))
    np.testing.assert_array_equal(both[:, 24:], read_image(tmp_path / 'out' / 'b.bmp'))


def test_a_comparison_without_its_result_is_no_result(photos, run_tool, tmp_path, monkeypatch):
    """As a full disk leaves it: the result is written first, and decides what is skipped."""
    written = []
    write = restore_file.write_image_file
    monkeypatch.setattr(
        restore_file,
        'write_image_file',
        lambda path, *more: written.append(path) or write(path, *more),
    )
    out = tmp_path / 'out'
    run_tool('restore', photos, '-o', out, '--compare')
    assert [path.name for path in written[:2]] == ['a.png', 'a_compare.png']
    (out / 'a.png').unlink()
    (out / 'a_compare.png').rename(out / 'elsewhere.png')
    (out / 'b_compare.png').unlink()
    run_tool('restore', photos, '-o', out, '--compare', '--skip-existing')
    assert names(out) == {'a.png', 'a_compare.png', 'b.png', 'elsewhere.png', 'restored.json'}


def test_a_result_of_another_call_is_kept(photos, failure_of, tmp_path, monkeypatch):
    """It appears while the image is being restored."""
    out = tmp_path / 'out'
    read = restore_file.read_image_file

    def appears(path, *more):
        out.mkdir(exist_ok=True)
        (out / path.name).write_bytes(b'of another call')
        return read(path, *more)

    monkeypatch.setattr(restore_file, 'read_image_file', appears)
    message = failure_of('restore', photos / 'a.png', '-o', f'{out}/')
    assert 'a.png exists by now, and is not replaced' in message
    assert (out / 'a.png').read_bytes() == b'of another call'


def test_a_result_of_another_call_is_skipped(photos, run_tool, tmp_path, monkeypatch, unchanging):
    out = tmp_path / 'out'
    read = restore_file.read_image_file

    def appears(path, *more):
        (out / 'b.png').write_bytes(b'of another call')
        return read(path, *more)

    out.mkdir()
    monkeypatch.setattr(restore_file, 'read_image_file', appears)
    printed = run_tool('restore', photos, '-o', out, '--skip-existing')
    assert 'restored 1 image(s)' in printed
    assert 'skipped 1 image(s) that already have results' in printed
    assert (out / 'b.png').read_bytes() == b'of another call'
    assert list(record(out)) == ['a.png']


def test_a_lone_comparison_does_not_count_as_a_result(photos, failure_of, tmp_path, unchanging):
    save_image(tmp_path / 'out' / 'a_compare.png', np.zeros((8, 8, 3), np.uint8))
    message = failure_of('restore', photos, '-o', tmp_path / 'out', '--compare', '--skip-existing')
    assert 'not restored: 1 image(s)\n' in message and 'a_compare.png exists by now' in message
    assert (read_image(tmp_path / 'out' / 'a_compare.png') == 0).all()


def test_what_cannot_work_is_said_before_a_model_is_loaded(
    photos, failure_of, tmp_path, monkeypatch
):
    monkeypatch.setattr('dtir_mm.commands.restore.released_model', lambda: pytest.fail('loaded'))
    message = failure_of('restore', photos / 'mistyped.png')
    assert f'no such image file: {photos}/mistyped.png' in message
    (tmp_path / 'out' / 'restored.json').mkdir(parents=True)
    message = failure_of('restore', photos, '-o', tmp_path / 'out')
    assert 'out/restored.json is not a record of restored images, and is not overwritten' in message


def test_a_record_that_cannot_be_written_hides_nothing(photos, failure_of, tmp_path, monkeypatch):
    def full(self):
        raise OSError('the disk is full')

    monkeypatch.setattr(Record, 'write', full)
    (photos / 'text.png').write_text('no image')
    message = failure_of('restore', photos, '-o', tmp_path / 'out')
    assert 'not restored: 1 image(s)' in message and 'text.png' in message
    assert '\n  the disk is full\n' in message
    (photos / 'text.png').unlink()
    message = failure_of('restore', photos, '-o', tmp_path / 'out', '--overwrite')
    assert 'not recorded: the disk is full' in message


@pytest.mark.parametrize('full', [False, True])
def test_an_output_that_is_closed_or_full_loses_no_record(
    full, toy, photos, tmp_path, monkeypatch, capsys, unchanging
):
    """``dtir-mm restore ... | head -1``, and ``> /dev/full``; the runs end after the image."""
    reader, writer = os.pipe()
    os.close(reader)
    with monkeypatch.context() as patch, open('/dev/full' if full else writer, 'w') as output:
        patch.setattr('sys.stdout', output)
        status = toy.call('restore', photos, '-o', tmp_path / 'out')
        print('what is printed later is dropped')  # and closing the output does not fail
    said = 'restore: cannot write to the standard output: No space left on device\n'
    assert status == (1 if full else 141)
    errors = capsys.readouterr().err
    assert errors.endswith(said) if full else 'restore: ' not in errors
    assert 'Traceback' not in errors
    assert set(record(tmp_path / 'out')) == {'a.png'} == names(tmp_path / 'out') - {'restored.json'}
    if full:
        os.close(writer)


def test_sub_folders_that_are_left_out_are_named(
    photos, run_tool, failure_of, tmp_path, unchanging
):
    said = (
        f'{photos}: 1 skipped (not an image, hidden, or a folder): x/ '
        f'(sub-folders need --recursive)\n'
    )
    assert said in run_tool('restore', photos, '-o', tmp_path / 'out')
    (photos / 'y').mkdir()
    (photos / 'x').rename(photos / 'y' / 'x')
    message = failure_of('restore', photos / 'y')
    assert f'no image in {photos}/y' in message and '(sub-folders need --recursive)' in message


def test_patterns_and_several_images(photos, run_tool, tmp_path, unchanging, monkeypatch):
    monkeypatch.chdir(photos)
    run_tool('restore', '*.png', 'x/c.png', '-o', tmp_path / 'out')
    assert names(tmp_path / 'out') == {'a.png', 'b.png', 'c.png', 'restored.json'}
    run_tool('restore', '*.png')
    printed = run_tool('restore', '*.png', '--overwrite')
    assert names(photos) == {'a.png', 'b.png', 'x/c.png', 'a_restored.png', 'b_restored.png'}
    assert '2 skipped that are results of other inputs: a_restored.png, b_restored.png' in printed


def test_results_that_appear_meanwhile_are_kept(photos, failure_of, tmp_path, monkeypatch):
    """Two results may also be one file by a link, or where names differ only in case."""
    out = tmp_path / 'out'
    (out / 'y').mkdir(parents=True)
    (out / 'x').symlink_to(out / 'y')
    save_image(photos / 'y' / 'c.png', np.full((9, 9, 3), 5, np.uint8))
    for option in ((), ('--overwrite',), ('--skip-existing',)):
        message = failure_of('restore', '-r', photos, '-o', out, *option)
        assert f'not restored: 1 image(s)\n  {out}/y/c.png is the result of another' in message
        assert read_image(out / 'y' / 'c.png').shape == (20, 24, 3)
        for path in out.rglob('*.png'):
            path.unlink()

    def appears(self, jobs):
        (out / 'a.png').write_bytes(b'of another program')
        return usual(self, jobs)

    usual = Run.restore
    monkeypatch.setattr(Run, 'restore', appears)
    message = failure_of('restore', photos, '-o', out)
    assert f'not restored: 1 image(s)\n  {out}/a.png exists by now' in message
    assert (out / 'a.png').read_bytes() == b'of another program'


def test_a_linked_image_is_read_and_its_link_stays(photos, run_tool, failure_of, tmp_path):
    (photos / 'link.png').symlink_to(photos / 'a.png')
    (photos / 'nowhere.png').symlink_to(photos / 'gone.png')
    before = (photos / 'a.png').read_bytes()
    message = failure_of('restore', photos / 'link.png', photos / 'nowhere.png')
    assert f'no such image file: {photos}/nowhere.png (a link to {photos}/gone.png)' in message
    assert (photos / 'link_restored.png').is_file() and not (
        photos / 'link_restored.png'
    ).is_symlink()
    assert (photos / 'a.png').read_bytes() == before
    os.link(photos / 'a.png', tmp_path / 'hard.png')
    for target in ('hard.png', 'in/link.png'):
        message = failure_of('restore', photos / 'a.png', '-o', tmp_path / target, '--overwrite')
        assert 'would replace the image' in message
    assert (photos / 'a.png').read_bytes() == before


def test_exit_statuses(toy, photos, tmp_path, capsys, unchanging):
    (photos / 'text.jpg').write_text('no image')
    out = ('-o', tmp_path / 'out')
    assert toy.call('restore', photos / 'a.png', *out) is None
    assert toy.call('restore', photos / 'a.png', '--skip-existing', *out) is None
    assert str(toy.call('restore', photos, '--skip-existing', *out)).startswith('restore: not')
    assert names(tmp_path / 'out') == {'a.png', 'b.png', 'restored.json'}
    assert toy.call('restore', photos / 'a.png', *out) == 1
    wrong = [
        ('--strength', '2'), ('--strength', 'x'), ('--format', 'gif'), ('--precision', 'fp64'),
        ('--overwrite', '--skip-existing'), ('--wrong',), ('--tile', '0'),
    ]  # fmt: skip
    for options in wrong:
        assert toy.call('restore', photos / 'a.png', *out, *options) == 2, options
    assert toy.call('restore') == 2
    capsys.readouterr()
    assert toy.call('restore', photos / 'a.png', '--device', 'tpu') == 1
    assert capsys.readouterr().err.startswith("restore: the device 'tpu' cannot be used: ")


def test_no_folder_is_left_without_a_result(toy, photos, failure_of, tmp_path, monkeypatch):
    (tmp_path / 'text').write_text('no folder')
    for source, output in (('gone.png', 'out'), ('gone.png', 'a/b/c.png'), ('a.png', 'text/x')):
        message = failure_of('restore', photos / source, '-o', tmp_path / output)
    assert f'cannot write to the output folder {tmp_path}/text' in message
    assert {path.name for path in tmp_path.iterdir()} == {'in', 'text'}
    monkeypatch.chdir(tmp_path)
    message = failure_of('restore', photos / 'gone.png', '-o', 'new/a.png')
    assert 'no such image file' in message


def test_a_checkpoint_in_the_place_of_an_image_is_recognised(toy, photos, failure_of):
    for arguments in ((toy.finetune, photos), ('a.onnx', 'b', '-o', 'c'), ('x.pth',)):
        message = failure_of('restore', *arguments)
        first = arguments[0]
        assert f'{first} is a checkpoint: give it as --checkpoint {first}' in message
    message = failure_of('restore', toy.photos, '--checkpoint', 'nowhere.pth')
    assert 'nowhere.pth' in message
