"""The tool that restores images: what it writes, and what it refuses to do."""

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from odd_images import icc_profile
from PIL import Image

from dtir_mm.apis import load_restorer, restore
from dtir_mm.image_io import read_image, save_image
from dtir_mm.models.restorers.restorer import Restorer


def by_hand(work_dir, image, t):
    """The network's own answer to an image whose sides are even."""
    restorer = load_restorer(work_dir)
    device = next(restorer.parameters()).device
    degraded = torch.from_numpy(image / 127.5 - 1).float().permute(2, 0, 1)[None].to(device)
    with torch.no_grad():
        restored = restorer(degraded, torch.tensor([t], device=device))[0].cpu()
    return (restored.clamp(-1, 1) * 127.5 + 127.5).permute(1, 2, 0).numpy()


def assert_rounded(image, exact):
    """Whether uint8 values are the nearest to exact ones, up to the last digits of float32."""
    assert image.dtype == np.uint8 and image.shape == exact.shape
    assert np.abs(image - exact).max() < 0.501


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob('*.*')}


def test_a_file_is_restored_at_the_step_of_the_task_it_was_trained_on(toy, run_tool, tmp_path):
    target = tmp_path / 'new' / 'restored.png'
    printed = run_tool('restore', toy.finetune, toy.photos / '1.png', target)
    assert str(target) in printed
    assert contents(tmp_path).keys() == {'new/restored.png'}
    restored, image = read_image(target), read_image(toy.photos / '1.png')
    assert_rounded(restored, by_hand(toy.finetune, image, 8))
    assert np.abs(restored.astype(int) - image).mean() > 2, 'the toy does nothing: no test of it'


def test_a_task_or_a_step_can_be_given(toy, run_tool, tmp_path):
    file = toy.photos / '0.png'
    run_tool('restore', toy.finetune, file, tmp_path / '4.png', '--task', 'noisy')
    run_tool('restore', toy.finetune, file, tmp_path / '30.png', '--t', 30)
    run_tool('restore', toy.finetune, file, tmp_path / '2.png', '--t', 2, '--task', 'unknown')
    for t in (4, 30, 2):
        expected = by_hand(toy.finetune, read_image(file), t)
        assert_rounded(read_image(tmp_path / f'{t}.png'), expected)
        assert np.abs(expected - by_hand(toy.finetune, read_image(file), 8)).max() > 1


def test_every_image_of_a_folder_is_restored_and_keeps_its_name(toy, run_tool, tmp_path):
    image = read_image(toy.photos / '2.png')
    images = {'a.jpg': image, 'b.png': image[:, ::-1], 'c.bmp': image[:21, :33]}
    for name, pixels in images.items():
        save_image(tmp_path / 'in' / name, np.ascontiguousarray(pixels))
    (tmp_path / 'in' / 'notes.txt').write_text('no image')
    run_tool('restore', toy.finetune, tmp_path / 'in', tmp_path / 'out')
    assert contents(tmp_path / 'out').keys() == {'a.png', 'b.png', 'c.png'}
    for name in images:
        file = tmp_path / 'in' / name
        restored = read_image((tmp_path / 'out' / name).with_suffix('.png'))
        if name == 'c.bmp':  # its sides are odd
            np.testing.assert_array_equal(
                restored, restore(load_restorer(toy.finetune), read_image(file), 8)
            )
        else:
            assert_rounded(restored, by_hand(toy.finetune, read_image(file), 8))


def test_a_target_without_suffix_is_a_folder(toy, run_tool, tmp_path):
    run_tool('restore', toy.finetune, toy.photos / '3.png', tmp_path / 'out')
    assert contents(tmp_path).keys() == {'out/3.png'}


def test_larger_images_are_restored_in_tiles(toy, run_tool, tmp_path):
    image = cv2.resize(read_image(toy.photos / '0.png'), (150, 90))
    save_image(tmp_path / 'large.png', image)
    command = ('restore', toy.finetune, tmp_path / 'large.png')
    run_tool(*command, tmp_path / 'whole.png')
    run_tool(*command, tmp_path / 'tiles.png', '--tile', 96)
    assert_rounded(read_image(tmp_path / 'whole.png'), by_hand(toy.finetune, image, 8))
    tiled = restore(load_restorer(toy.finetune, tile=96), image, 8)
    np.testing.assert_array_equal(read_image(tmp_path / 'tiles.png'), tiled)
    assert (read_image(tmp_path / 'whole.png') != tiled).any()


def test_small_tiles_overlap_by_half(toy, run_tool, tmp_path):
    run_tool('restore', toy.finetune, toy.photos / '0.png', tmp_path / 'a.png', '--tile', 24)
    image = read_image(toy.photos / '0.png')
    expected = restore(load_restorer(toy.finetune, tile=24, tile_overlap=12), image, 8)
    assert np.array_equal(read_image(tmp_path / 'a.png'), expected)


def test_an_output_that_exists_is_left_alone_without_overwrite(toy, run_tool, failure_of, tmp_path):
    target = tmp_path / '0.png'
    save_image(target, np.full((8, 8, 3), 7, np.uint8))
    before = contents(tmp_path)
    for source, output in ((toy.photos / '0.png', target), (toy.photos, tmp_path)):
        message = failure_of('restore', toy.finetune, source, output)
        assert str(target) in message and '--overwrite' in message
        assert contents(tmp_path) == before
    run_tool('restore', toy.finetune, toy.photos / '0.png', target, '--overwrite')
    image = read_image(toy.photos / '0.png')
    assert_rounded(read_image(target), by_hand(toy.finetune, image, 8))


def test_two_images_that_would_become_one_are_named(toy, failure_of, tmp_path):
    for name in ('a.png', 'a.jpg', 'b.png'):
        save_image(tmp_path / 'in' / name, read_image(toy.photos / '0.png'))
    folders = (tmp_path / 'in', tmp_path / 'out')
    message = failure_of('restore', toy.finetune, *folders, '--overwrite')
    for file in ('in/a.png', 'in/a.jpg', 'out/a.png'):
        assert str(tmp_path / file) in message
    assert not (tmp_path / 'out').exists()


def test_an_unknown_task_gets_the_known_ones(toy, failure_of, tmp_path):
    arguments = (toy.photos / '0.png', tmp_path / 'out.png', '--task', 'hazy')
    message = failure_of('restore', toy.finetune, *arguments)
    assert 'hazy' in message and 'rainy' in message and 'noisy' in message
    assert contents(tmp_path) == {}


def test_without_a_single_task_one_has_to_be_named(toy, failure_of, tmp_path):
    message = failure_of('restore', toy.pretrain, toy.photos / '0.png', tmp_path / 'out.png')
    assert '--task' in message and contents(tmp_path) == {}


@pytest.mark.parametrize('t', [0, -1, 51])
def test_a_step_out_of_range_is_refused(toy, failure_of, tmp_path, t):
    arguments = (toy.photos / '0.png', tmp_path / 'out.png', '--t', t)
    message = failure_of('restore', toy.finetune, *arguments)
    assert str(t) in message and '1..50' in message
    assert contents(tmp_path) == {}


@pytest.mark.parametrize('folder', [False, True])
def test_a_truncated_input_is_named(toy, failure_of, tmp_path, folder):
    file = tmp_path / 'in' / 'cut.png'
    save_image(file, read_image(toy.photos / '0.png'))
    file.write_bytes(file.read_bytes()[:-500])
    message = failure_of('restore', toy.finetune, file.parent if folder else file, tmp_path / 'out')
    assert str(file) in message
    assert contents(tmp_path).keys() == {'in/cut.png'}


def test_the_others_of_a_folder_are_restored_beside_a_broken_one(toy, failure_of, tmp_path):
    for name in '012':
        save_image(tmp_path / 'in' / f'{name}.png', read_image(toy.photos / f'{name}.png'))
    cut = tmp_path / 'in' / '1.png'
    cut.write_bytes(cut.read_bytes()[:-500])
    message = failure_of('restore', toy.finetune, cut.parent, tmp_path / 'out')
    assert str(cut) in message and '0.png' not in message
    assert contents(tmp_path / 'out').keys() == {'0.png', '2.png'}


def test_what_is_missing_is_named(toy, failure_of, tmp_path):
    target = tmp_path / 'out.png'
    for missing in ('nowhere.png', 'nowhere'):
        message = failure_of('restore', toy.finetune, tmp_path / missing, target)
        assert str(tmp_path / missing) in message
    message = failure_of('restore', tmp_path / 'lost.pth', toy.photos / '0.png', target)
    assert str(tmp_path / 'lost.pth') in message
    message = failure_of('restore', tmp_path, toy.photos / '0.png', target)
    assert str(tmp_path) in message and 'iter_*.pth' in message
    (tmp_path / 'empty').mkdir()
    assert str(tmp_path / 'empty') in failure_of('restore', toy.finetune, tmp_path / 'empty', 'x')
    assert contents(tmp_path) == {}


def folder_of(toy, folder, *names):
    for name in names:
        save_image(folder / name, read_image(toy.photos / '0.png'))
    return folder


def test_folders_in_a_folder_are_restored_into_the_same_folders(toy, run_tool, tmp_path):
    source = folder_of(toy, tmp_path / 'in', 'a.png', 'x/a.png', 'x/y/b.jpg')
    (source / 'x' / 'notes.txt').write_text('no image')
    printed = run_tool('restore', toy.finetune, source, source / 'out')
    results = {'a.png', 'x/a.png', 'x/y/b.png'}
    assert contents(source / 'out').keys() == results
    assert f'{source}: 1 left out that are no image files: x/notes.txt' in printed
    # The results lie in the folder, and are not restored again.
    run_tool('restore', toy.finetune, source, source / 'out', '--overwrite')
    assert contents(source / 'out').keys() == results


def test_skipping_what_exists_goes_on_where_a_call_ended(toy, run_tool, failure_of, tmp_path):
    source, out = folder_of(toy, tmp_path / 'in', 'a.png', 'b.png', 'c.png'), tmp_path / 'out'
    save_image(out / 'b.png', np.full((8, 8, 3), 7, np.uint8))
    printed = run_tool('restore', toy.finetune, source, out, '--skip-existing')
    assert 'restored 2 image(s)' in printed and 'skipped 1 whose result exists' in printed
    assert contents(out).keys() == {'a.png', 'b.png', 'c.png'}
    assert (read_image(out / 'b.png') == 7).all()
    failure_of('restore', toy.finetune, source, out, '--skip-existing', '--overwrite')
    message = failure_of('restore', toy.finetune, source, out)
    assert '3 of 3' in message and '--skip-existing' in message
    message = failure_of('restore', toy.finetune, source, source, '--skip-existing')
    assert 'would be its own result' in message


def test_one_result_that_cannot_be_written_does_not_end_a_folder(toy, failure_of, tmp_path):
    source, out = folder_of(toy, tmp_path / 'in', 'a.png', 'b.png', 'c.png'), tmp_path / 'out'
    (out / 'b.png').mkdir(parents=True)
    message = failure_of('restore', toy.finetune, source, out, '--overwrite')
    assert 'not restored: 1 image(s)\n' in message and str(out / 'b.png') in message
    assert sorted(path.name for path in out.iterdir()) == ['a.png', 'b.png', 'c.png']


def test_a_full_disk_ends_a_folder_with_what_is_left(toy, failure_of, tmp_path, monkeypatch):
    source, out = folder_of(toy, tmp_path / 'in', 'a.png', 'b.png', 'c.png', 'd.png'), tmp_path

    def full(self, content):
        if '.b.png' in str(self):
            raise OSError(errno.ENOSPC, 'No space left on device')
        return written(self, content)

    written = Path.write_bytes
    monkeypatch.setattr(Path, 'write_bytes', full)
    message = failure_of('restore', toy.finetune, source, out)
    assert (
        '1 image(s), and 2 not tried: free disk space and continue with --skip-existing' in message
    )
    assert {'a.png'} <= contents(out).keys() and 'c.png' not in contents(out)


@pytest.mark.parametrize('error', [RuntimeError('out of memory\nmore'), FloatingPointError('nan')])
def test_an_image_that_cannot_be_restored_does_not_end_a_folder(
    toy, failure_of, tmp_path, monkeypatch, error
):
    source = folder_of(toy, tmp_path / 'in', 'a.png', 'c.png')
    save_image(source / 'b.png', np.zeros((20, 30, 3), np.uint8))

    def fails(self, part, size, t):
        if size == (20, 30):
            raise error
        yield from rows(self, part, size, t)

    rows = Restorer.restored_rows
    monkeypatch.setattr(Restorer, 'restored_rows', fails)
    message = failure_of('restore', toy.finetune, source, tmp_path / 'out')
    first = str(error).splitlines()[0]
    assert f'{source / "b.png"} cannot be restored: {first}\n' in message
    assert contents(tmp_path / 'out').keys() == {'a.png', 'c.png'}


def test_more_pixels_than_are_read_by_default(toy, run_tool, failure_of, tmp_path, monkeypatch):
    source = folder_of(toy, tmp_path / 'in', 'a.png')
    monkeypatch.setenv('DTIR_MAX_PIXELS', '1000')
    message = failure_of('restore', toy.finetune, source, tmp_path / 'out')
    assert '48 x 40 = 1920 pixels, more than the 1000' in message and '--max-pixels' in message
    run_tool('restore', toy.finetune, source, tmp_path / 'out', '--max-pixels', 1920)
    assert contents(tmp_path / 'out').keys() == {'a.png'}
    failure_of('restore', toy.finetune, source, tmp_path / 'b', '--max-pixels', 0)


def test_what_an_image_carries_and_a_result_does_not_is_said(toy, run_tool, tmp_path):
    rgb = read_image(toy.photos / '0.png')
    (tmp_path / 'in').mkdir()
    for name, space in (('a', 'P3'), ('b', 'P3'), ('c', 'Adobe')):
        profile = icc_profile(space, space)
        Image.fromarray(rgb).save(tmp_path / 'in' / f'{name}.png', icc_profile=profile)
    printed = run_tool('restore', toy.finetune, tmp_path / 'in', tmp_path / 'out')
    note = 'note: colours were converted to sRGB from the profile'
    assert f"{note} 'P3': 2 image(s): {tmp_path / 'in' / 'a.png'}, " in printed
    assert f"{note} 'Adobe': 1 image(s): {tmp_path / 'in' / 'c.png'}\n" in printed


def test_weights_that_are_not_finite_restore_nothing_in_silence(toy, failure_of, tmp_path):
    checkpoint = torch.load(toy.finetune / 'iter_2.pth')
    weight = checkpoint['state_dict']['backbone.net.conv_out.weight']
    weight.view(-1)[0] = torch.nan
    torch.save(checkpoint, tmp_path / 'nan.pth')
    message = failure_of('restore', tmp_path / 'nan.pth', toy.photos, tmp_path / 'out')
    assert f'{tmp_path}/nan.pth' in message and 'net.conv_out.weight are not finite' in message
    assert not (tmp_path / 'out').exists()

    weight[:] = 3e38
    torch.save(checkpoint, tmp_path / 'huge.pth')
    message = failure_of('restore', tmp_path / 'huge.pth', toy.photos, tmp_path / 'out')
    lines = [line for line in message.splitlines() if 'conv_out (Conv2d) is the first' in line]
    assert [str(toy.photos / f'{i}.png') in line for i, line in enumerate(lines)] == [True] * 6
    assert contents(tmp_path / 'out') == {}


@pytest.mark.parametrize('tile', [1, 0, -3])
def test_tiles_of_no_use_are_refused(toy, failure_of, tmp_path, tile):
    command = ('restore', toy.finetune, toy.photos / '0.png', tmp_path / 'a.png', '--tile', tile)
    assert f"argument --tile: '{tile}' must be an integer of at least 2" in failure_of(*command)
    assert contents(tmp_path) == {}
