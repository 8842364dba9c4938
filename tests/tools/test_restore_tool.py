"""``dtir-mm restore`` and tools/restore.py: what they write, and what they reject."""

import errno
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from odd_images import icc_profile
from PIL import Image

from dtir_mm.apis import load_restorer, restore_pixels
from dtir_mm.image_io import read_image, save_image
from dtir_mm.models.restorers.restorer import Restorer


def by_hand(work_dir, image, t):
    """The result of a forward pass for an image with even sides."""
    restorer = load_restorer(work_dir)
    device = next(restorer.parameters()).device
    degraded = torch.from_numpy(image / 127.5 - 1).float().permute(2, 0, 1)[None].to(device)
    with torch.no_grad():
        restored = restorer(degraded, torch.tensor([t], device=device))[0].cpu()
    return (restored.clamp(-1, 1) * 127.5 + 127.5).permute(1, 2, 0).numpy()


def assert_rounded(image, exact):
    """Asserts that uint8 values are rounded exact ones, up to float32 precision."""
    assert image.dtype == np.uint8 and image.shape == exact.shape
    assert np.abs(image - exact).max() < 0.501


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob('*.*')}


def test_the_task_defaults_to_that_of_training(toy, run_tool, tmp_path):
    target = tmp_path / 'new' / 'restored.png'
    printed = run_tool('restore', toy.finetune, toy.photos / '1.png', target)
    assert str(target) in printed
    assert contents(tmp_path).keys() == {'new/restored.png'}
    run_tool('restore', toy.finetune, toy.photos / '1.png', tmp_path / 'folder')
    assert contents(tmp_path / 'folder').keys() == {'1.png', 'restored.json'}
    assert (tmp_path / 'folder' / '1.png').read_bytes() == target.read_bytes()
    restored, image = read_image(target), read_image(toy.photos / '1.png')
    assert_rounded(restored, by_hand(toy.finetune, image, 8))
    assert np.abs(restored.astype(int) - image).mean() > 2, 'the toy does nothing'


def test_a_task_or_a_step_can_be_given(toy, run_tool, tmp_path):
    file = toy.photos / '0.png'
    run_tool('restore', toy.finetune, file, tmp_path / '4.png', '--task', 'noisy')
    run_tool('restore', toy.finetune, file, tmp_path / '30.png', '--t', 30)
    run_tool('restore', toy.finetune, file, tmp_path / '2.png', '--t', 2, '--task', 'unknown')
    for t in (4, 30, 2):
        expected = by_hand(toy.finetune, read_image(file), t)
        assert_rounded(read_image(tmp_path / f'{t}.png'), expected)
        assert np.abs(expected - by_hand(toy.finetune, read_image(file), 8)).max() > 1


def test_all_images_of_a_folder_are_restored(toy, run_tool, tmp_path):
    image = read_image(toy.photos / '2.png')
    images = {'a.jpg': image, 'b.png': image[:, ::-1], 'c.bmp': image[:21, :33]}
    for name, pixels in images.items():
        save_image(tmp_path / 'in' / name, np.ascontiguousarray(pixels))
    (tmp_path / 'in' / 'notes.txt').write_text('no image')
    run_tool('restore', toy.finetune, tmp_path / 'in', tmp_path / 'out')
    assert contents(tmp_path / 'out').keys() == {*images, 'restored.json'}
    run_tool('restore', toy.finetune, tmp_path / 'in', tmp_path / 'png', '--format', 'png')
    for name in images:
        file = tmp_path / 'in' / name
        restored = read_image((tmp_path / 'png' / name).with_suffix('.png'))
        difference = restored.astype(int) - read_image(tmp_path / 'out' / name)
        assert np.abs(difference).mean() < (8 if name == 'a.jpg' else 1e-9)
        if name == 'c.bmp':  # its sides are odd
            np.testing.assert_array_equal(
                restored, restore_pixels(load_restorer(toy.finetune), read_image(file), 8)
            )
        else:
            assert_rounded(restored, by_hand(toy.finetune, read_image(file), 8))


def test_larger_images_are_restored_in_tiles(toy, run_tool, tmp_path):
    image = cv2.resize(read_image(toy.photos / '0.png'), (150, 90))
    save_image(tmp_path / 'large.png', image)
    command = ('restore', toy.finetune, tmp_path / 'large.png')
    run_tool(*command, tmp_path / 'whole.png')
    run_tool(*command, tmp_path / 'tiles.png', '--tile', 96)
    assert_rounded(read_image(tmp_path / 'whole.png'), by_hand(toy.finetune, image, 8))
    tiled = restore_pixels(load_restorer(toy.finetune, tile=96, tile_overlap=48), image, 8)
    np.testing.assert_array_equal(read_image(tmp_path / 'tiles.png'), tiled)
    assert (read_image(tmp_path / 'whole.png') != tiled).any()


def test_small_tiles_overlap_by_half(toy, run_tool, tmp_path):
    run_tool('restore', toy.finetune, toy.photos / '0.png', tmp_path / 'a.png', '--tile', 24)
    image = read_image(toy.photos / '0.png')
    expected = restore_pixels(load_restorer(toy.finetune, tile=24, tile_overlap=12), image, 8)
    assert np.array_equal(read_image(tmp_path / 'a.png'), expected)


def test_existing_outputs_need_overwrite(toy, run_tool, failure_of, tmp_path):
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


def test_images_with_the_same_output_are_rejected(toy, failure_of, tmp_path):
    for name in ('a.png', 'a.gif', 'b.png'):
        save_image(tmp_path / 'in' / name, read_image(toy.photos / '0.png'))
    folders = (tmp_path / 'in', tmp_path / 'out')
    message = failure_of('restore', toy.finetune, *folders, '--overwrite')
    for file in ('in/a.png', 'in/a.gif', 'out/a.png'):
        assert str(tmp_path / file) in message
    assert not (tmp_path / 'out').exists()


def test_several_tasks_need_a_choice(toy, failure_of, tmp_path):
    message = failure_of('restore', toy.pretrain, toy.photos / '0.png', tmp_path / 'out.png')
    assert 'tasks' in message and 'name one with --task' in message
    assert contents(tmp_path) == {}


def test_a_truncated_input_is_reported(toy, failure_of, tmp_path):
    file = tmp_path / 'in' / 'cut.png'
    save_image(file, read_image(toy.photos / '0.png'))
    file.write_bytes(file.read_bytes()[:-500])
    assert str(file) in failure_of('restore', toy.finetune, file, tmp_path / 'out')
    assert contents(tmp_path).keys() == {'in/cut.png'}


def test_a_broken_image_does_not_stop_a_folder(toy, failure_of, tmp_path):
    for name in '012':
        save_image(tmp_path / 'in' / f'{name}.png', read_image(toy.photos / f'{name}.png'))
    cut = tmp_path / 'in' / '1.png'
    cut.write_bytes(cut.read_bytes()[:-500])
    message = failure_of('restore', toy.finetune, cut.parent, tmp_path / 'out')
    assert str(cut) in message and '0.png' not in message
    assert contents(tmp_path / 'out').keys() == {'0.png', '2.png', 'restored.json'}


def folder_of(toy, folder, *names):
    for name in names:
        save_image(folder / name, read_image(toy.photos / '0.png'))
    return folder


def test_subfolders_are_restored(toy, run_tool, tmp_path):
    source = folder_of(toy, tmp_path / 'in', 'a.png', 'x/a.png', 'x/y/b.jpg')
    (source / 'x' / 'notes.txt').write_text('no image')
    printed = run_tool('restore', toy.finetune, source, source / 'out')
    results = {'a.png', 'x/a.png', 'x/y/b.jpg', 'restored.json'}
    assert contents(source / 'out').keys() == results
    assert f'{source}: 1 skipped (not an image, hidden, or a folder): x/notes.txt' in printed
    # Results inside the source folder are not restored again.
    run_tool('restore', toy.finetune, source, source / 'out', '--overwrite')
    assert contents(source / 'out').keys() == results


def test_skip_existing_continues_an_earlier_call(toy, run_tool, failure_of, tmp_path):
    source, out = folder_of(toy, tmp_path / 'in', 'a.png', 'b.png', 'c.png'), tmp_path / 'out'
    save_image(out / 'b.png', np.full((8, 8, 3), 7, np.uint8))
    printed = run_tool('restore', toy.finetune, source, out, '--skip-existing')
    assert (
        'restored 2 image(s)' in printed
        and 'skipped 1 image(s) that already have results' in printed
    )
    assert contents(out).keys() == {'a.png', 'b.png', 'c.png', 'restored.json'}
    assert (read_image(out / 'b.png') == 7).all()
    failure_of('restore', toy.finetune, source, out, '--skip-existing', '--overwrite')
    message = failure_of('restore', toy.finetune, source, out)
    assert '3 of 3' in message and '--skip-existing' in message
    for option in ('--skip-existing', '--overwrite'):
        message = failure_of('restore', toy.finetune, source, source, option)
        assert f'{source}/a.png would replace the image {source}/a.png' in message


def test_an_unwritable_result_does_not_stop_a_folder(toy, failure_of, tmp_path):
    source, out = folder_of(toy, tmp_path / 'in', 'a.png', 'b.png', 'c.png'), tmp_path / 'out'
    (out / 'b.png').mkdir(parents=True)
    message = failure_of('restore', toy.finetune, source, out, '--overwrite')
    assert 'not restored: 1 image(s)\n' in message and str(out / 'b.png') in message
    names = ['a.png', 'b.png', 'c.png', 'restored.json']
    assert sorted(path.name for path in out.iterdir()) == names


def test_a_full_disk_stops_a_folder_and_reports_the_rest(toy, failure_of, tmp_path, monkeypatch):
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
def test_a_failed_restoration_does_not_stop_a_folder(toy, failure_of, tmp_path, monkeypatch, error):
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
    assert contents(tmp_path / 'out').keys() == {'a.png', 'c.png', 'restored.json'}


def test_the_limit_of_pixels_can_be_raised(toy, run_tool, failure_of, tmp_path, monkeypatch):
    source = folder_of(toy, tmp_path / 'in', 'a.png')
    monkeypatch.setenv('DTIR_MAX_PIXELS', '1000')
    message = failure_of('restore', toy.finetune, source, tmp_path / 'out')
    assert '48 x 40 = 1920 pixels, more than the 1000' in message and '--max-pixels' in message
    run_tool('restore', toy.finetune, source, tmp_path / 'out', '--max-pixels', 1920)
    assert contents(tmp_path / 'out').keys() == {'a.png', 'restored.json'}
    failure_of('restore', toy.finetune, source, tmp_path / 'b', '--max-pixels', 0)


def test_what_a_format_does_not_hold_is_reported(toy, run_tool, tmp_path):
    rgb = read_image(toy.photos / '0.png')
    (tmp_path / 'in').mkdir()
    for name, space in (('a', 'P3'), ('b', 'P3'), ('c', 'sRGB')):
        profile = icc_profile(space, space)
        Image.fromarray(rgb).save(tmp_path / 'in' / f'{name}.png', icc_profile=profile)
    said = 'note: BMP is written without a profile: colours became sRGB: 2 image(s): '
    for suffix, times in (('png', 0), ('bmp', 1)):
        out = tmp_path / suffix
        printed = run_tool('restore', toy.finetune, tmp_path / 'in', out, '--format', suffix)
        assert printed.count(f'{said}{tmp_path}/in/a.png, {tmp_path}/in/b.png\n') == times
        images = json.loads((out / 'restored.json').read_text())['images']
        assert [len(images[f'{name}.{suffix}']['notes']) for name in 'abc'] == [times, times, 0]


def test_overflowing_weights_are_reported(toy, failure_of, tmp_path):
    checkpoint = torch.load(toy.finetune / 'iter_2.pth')
    weight = checkpoint['state_dict']['backbone.net.conv_out.weight']
    weight[:] = 3e38
    torch.save(checkpoint, tmp_path / 'huge.pth')
    message = failure_of('restore', tmp_path / 'huge.pth', toy.photos, tmp_path / 'out')
    lines = [line for line in message.splitlines() if 'conv_out (Conv2d) is the first' in line]
    assert [str(toy.photos / f'{i}.png') in line for i, line in enumerate(lines)] == [True] * 6
    assert contents(tmp_path / 'out') == {}
