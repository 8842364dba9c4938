"""Names of results: beside the images, in folders, from patterns; and what is refused."""

import os
from pathlib import Path

import pytest

from dtir_mm.apis.restore_plan import Naming, make_plan


def files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b'image')
    return folder


def results(plan, folder):
    return {
        str(job.source.relative_to(folder)): str(job.result.relative_to(folder))
        for job in plan.jobs
    }


@pytest.mark.parametrize(
    ('name', 'result'),
    [
        ('a b.jpg', 'a b_restored.jpg'),
        ("it's ü.PNG", "it's ü_restored.PNG"),
        ('a.b.jpeg', 'a.b_restored.jpeg'),
        ('c.webp', 'c_restored.webp'),
        ('d.tif', 'd_restored.tif'),
        ('e.bmp', 'e_restored.bmp'),
        ('moving.gif', 'moving_restored.png'),
        ('scan', 'scan_restored.png'),
        ('x' * 200 + '.png', 'x' * 200 + '_restored.png'),
    ],
)
def test_a_result_lies_beside_its_image_in_its_format(name, result, tmp_path):
    files(tmp_path, name)
    assert results(make_plan([tmp_path / name], None, Naming()), tmp_path) == {name: result}


def test_no_name_is_too_long_for_file_systems(tmp_path):
    names = ['ü' * 125 + '.png', 'ü' * 124 + 'x.png']  # 254 and 253 bytes
    files(tmp_path, *names)
    plan = make_plan([tmp_path], None, Naming(compare=True))
    targets = [target for job in plan.jobs for target in job.targets]
    plan = make_plan([tmp_path / name for name in names], None, Naming(compare=True))
    targets += [target for job in plan.jobs for target in job.targets]
    assert len(set(targets)) == 8
    for target in targets:
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(b'')  # the file system accepts it


def test_folders_keep_their_names_and_sub_folders_are_optional(tmp_path):
    source = files(tmp_path / 'in', 'a.jpg', 'x/b.PNG', 'x/y/c.gif', 'x/notes.txt', '.hidden.png')
    plan = make_plan([source], None, Naming())
    assert results(plan, tmp_path) == {'in/a.jpg': 'in_restored/a.jpg'}
    assert {job.folder for job in plan.jobs} == {tmp_path / 'in_restored'}
    assert plan.left_out == [
        f'{source}: 2 skipped (not an image, hidden, or a folder): .hidden.png, x/ '
        '(sub-folders need --recursive)'
    ]
    out = tmp_path / 'out.v2'
    plan = make_plan([source], out, Naming(suffix='.webp', compare=True), recursive=True)
    assert results(plan, tmp_path) == {
        'in/a.jpg': 'out.v2/a.webp',
        'in/x/b.PNG': 'out.v2/x/b.webp',
        'in/x/y/c.gif': 'out.v2/x/y/c.webp',
    }
    assert [job.comparison.relative_to(out) for job in plan.jobs] == [
        Path('a_compare.png'), Path('x/b_compare.png'), Path('x/y/c_compare.png'),
    ]  # fmt: skip


def test_the_current_folder_has_a_folder_beside_it(tmp_path, monkeypatch):
    files(tmp_path / 'in', 'a.jpg')
    monkeypatch.chdir(tmp_path / 'in')
    (job,) = make_plan(['.'], None, Naming()).jobs
    assert job.result == tmp_path / 'in_restored' / 'a.jpg'
    with pytest.raises(ValueError, match='has no folder beside it'):
        make_plan(['/'], None, Naming())


def test_patterns(tmp_path):
    files(tmp_path, 'a.jpg', 'b.jpg', 'b.png', 'x/c.jpg', 'odd[1].jpg')
    plan = make_plan([f'{tmp_path}/?.jpg', tmp_path / 'a.jpg'], tmp_path / 'out', Naming())
    assert results(plan, tmp_path) == {'a.jpg': 'out/a.jpg', 'b.jpg': 'out/b.jpg'}
    plan = make_plan([f'{tmp_path}/**/*.jpg'], tmp_path / 'out', Naming())
    assert sorted(results(plan, tmp_path)) == ['a.jpg', 'b.jpg', 'odd[1].jpg', 'x/c.jpg']
    plan = make_plan([tmp_path / 'odd[1].jpg'], tmp_path / 'out', Naming())
    assert results(plan, tmp_path) == {'odd[1].jpg': 'out/odd[1].jpg'}
    plan = make_plan([tmp_path / 'x', tmp_path / 'x' / 'c.jpg'], tmp_path / 'out', Naming())
    assert results(plan, tmp_path) == {'x/c.jpg': 'out/c.jpg'} and len(plan.jobs) == 1
    with pytest.raises(FileNotFoundError, match=r'no file matches .*\*\.tif'):
        make_plan([f'{tmp_path}/*.tif'], None, Naming())


def test_results_of_an_earlier_call_are_not_restored_again(tmp_path):
    files(tmp_path, 'a.png', 'a_restored.png', 'a_restored_compare.png', 'b_restored.png')
    plan = make_plan([f'{tmp_path}/*.png'], None, Naming(compare=True))
    assert results(plan, tmp_path) == {
        'a.png': 'a_restored.png',
        'b_restored.png': 'b_restored_restored.png',
    }
    (line,) = plan.left_out
    assert line.startswith('2 skipped that are results of other inputs: ')


def test_a_pattern_can_be_given_again(tmp_path, monkeypatch):
    """It matches the results then: those of folders, and comparisons of a call that made some."""
    monkeypatch.chdir(files(tmp_path, 'a.png', 'sub/b.png', 'sub/c/d.png'))
    first = make_plan(['*'], None, Naming(compare=True), recursive=True)
    assert len(first.jobs) == 3
    files(tmp_path, *(str(target) for job in first.jobs for target in job.targets))
    for naming in (Naming(compare=True), Naming()):
        again = make_plan(['*'], None, naming, recursive=True)
        assert [(job.source, job.result) for job in again.jobs] == [
            (job.source, job.result) for job in first.jobs
        ]
        assert again.without_existing(overwrite=False, skip=True).jobs == []
    monkeypatch.chdir(tmp_path / 'sub')
    for inputs in (['*'], ['*'], ['b.png', 'c', 'out'], ['**/*.png', tmp_path / 'sub' / 'out']):
        plan = make_plan(inputs, 'out', Naming(), recursive=True)
        assert {str(job.result) for job in plan.jobs} == {'out/b.png', 'out/d.png'}
        files(Path(), 'out/restored.json', *(str(job.result) for job in plan.jobs))
    assert plan.left_out == [
        '3 skipped that are results of other inputs: out/b.png, out/d.png, '
        f'{tmp_path / "sub" / "out"}'
    ]


def test_a_folder_of_images_is_not_taken_for_one_of_results(tmp_path):
    source = files(tmp_path, 'in/a.png', 'b.png', 'in/b.png') / 'in'
    with pytest.raises(ValueError, match='would both become|would replace the image'):
        make_plan([source, tmp_path / 'b.png'], source, Naming())
    files(source, 'restored.json')
    with pytest.raises(ValueError, match='would replace the image'):
        make_plan([source], source, Naming())


def test_an_image_counts_once_by_all_its_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(files(tmp_path, 'in/a.png', 'b.png'))
    inputs = ['in', tmp_path / 'in' / 'a.png', './in/../in/a.png', 'b.png', tmp_path / 'b.png']
    assert len(make_plan(inputs, tmp_path / 'out', Naming()).jobs) == 2
    assert len(make_plan(['b.png', tmp_path / 'b.png', '*.png'], None, Naming()).jobs) == 1
    (job,) = make_plan(['b.png', tmp_path / 'b.png'], 'x.jpg', Naming()).jobs
    assert str(job.result) == 'x.jpg'
    files(tmp_path, 'b.gif')
    with pytest.raises(ValueError, match=r'would both become .*b_restored\.png'):
        make_plan(['b.png', tmp_path / 'b.gif'], None, Naming())


def test_inputs_that_are_all_missing_are_named_first(tmp_path):
    files(tmp_path, 'a.png')
    with pytest.raises(FileNotFoundError, match=r'no such image file: .*/b\.png, .*/c\.png'):
        make_plan([tmp_path / 'b.png', tmp_path / 'c.png'], None, Naming())
    plan = make_plan([tmp_path / 'a.png', tmp_path / 'b.png'], None, Naming())
    assert [job.source.name for job in plan.jobs] == ['a.png', 'b.png']  # named at its turn


def test_one_output_is_a_file_and_several_need_a_folder(tmp_path):
    files(tmp_path, 'a.png', 'b.png', 'in/c.png')
    (job,) = make_plan([tmp_path / 'a.png'], tmp_path / 'x.JPG', Naming()).jobs
    assert (job.result, job.folder) == (tmp_path / 'x.JPG', None)
    (job,) = make_plan([tmp_path / 'a.png'], tmp_path / 'new', Naming()).jobs
    assert (job.result, job.folder) == (tmp_path / 'new' / 'a.png', tmp_path / 'new')
    for name in ('results_2.5/', 'new.png/'):
        (job,) = make_plan([tmp_path / 'a.png'], f'{tmp_path}/{name}', Naming()).jobs
        assert (job.result, job.folder) == (tmp_path / name / 'a.png', tmp_path / name)
    with pytest.raises(
        ValueError, match=r"written as '\.5'; .* end the name of a folder with a sl"
    ):
        make_plan([tmp_path / 'a.png'], tmp_path / 'results_2.5', Naming())
    for inputs in (['a.png', 'b.png'], ['in']):
        with pytest.raises(ValueError, match=r'x\.jpg is one file: name a folder'):
            make_plan([tmp_path / name for name in inputs], tmp_path / 'x.jpg', Naming())
    for wrong in ('x.gif', 'x.jgp'):
        with pytest.raises(ValueError, match=r"are not written as '\.\w+'; use \.png"):
            make_plan([tmp_path / 'a.png'], tmp_path / wrong, Naming())
    with pytest.raises(ValueError, match=r'--format png contradicts .*x\.jpg'):
        make_plan([tmp_path / 'a.png'], tmp_path / 'x.jpg', Naming(suffix='.png'))
    (job,) = make_plan([tmp_path / 'a.png'], tmp_path / 'x.jpg', Naming(suffix='.jpeg')).jobs
    assert job.result == tmp_path / 'x.jpg'


def test_two_images_never_become_one_file(tmp_path):
    files(tmp_path, 'a.png', 'a.gif', 'x/a.png')
    for inputs in ([tmp_path], [tmp_path / 'a.png', tmp_path / 'x' / 'a.png']):
        with pytest.raises(
            ValueError, match=r'a\.\w+ and .*a\.png would both .*/a\.png: .*two calls'
        ):
            make_plan(inputs, tmp_path / 'out', Naming())


@pytest.mark.parametrize('link', ['same', 'symbolic', 'hard', 'folder', 'another image'])
def test_an_image_is_never_replaced(link, tmp_path):
    image = files(tmp_path / 'in', 'a.png') / 'a.png'
    out = tmp_path / 'out'
    inputs = [image]
    if link == 'same':
        out = image.parent
    elif link == 'folder':
        out.symlink_to(image.parent)
    elif link == 'another image':
        files(image.parent, 'a.gif')
        inputs = [image.with_suffix('.gif'), image]
        out = tmp_path / 'in'
        (tmp_path / 'in' / 'sub').mkdir()
        image.rename(tmp_path / 'in' / 'sub' / 'a.png')
        (tmp_path / 'in' / 'a.png').symlink_to(tmp_path / 'in' / 'sub' / 'a.png')
        inputs = [tmp_path / 'in' / 'a.gif', tmp_path / 'in' / 'sub' / 'a.png']
    else:
        out.mkdir()
        (os.symlink if link == 'symbolic' else os.link)(image, out / 'a.png')
    with pytest.raises(ValueError, match=r'a\.png would replace the image .*which is never|both'):
        make_plan(inputs, out, Naming())


def test_existing_results_are_skipped_or_replaced_only_on_request(tmp_path):
    source = files(tmp_path / 'in', 'a.png', 'b.png', 'c.png')
    out = files(tmp_path / 'out', 'a.png', 'c_compare.png')
    plan = make_plan([source], out, Naming(compare=True))
    with pytest.raises(ValueError, match=r'out/a\.png exists \(2 of 3 results do\): give --over'):
        plan.without_existing(overwrite=False, skip=False)
    skipping = plan.without_existing(overwrite=False, skip=True)
    assert results(skipping, tmp_path) == {'in/b.png': 'out/b.png', 'in/c.png': 'out/c.png'}
    assert plan.without_existing(overwrite=True, skip=False) == plan
    (out / 'b.png').symlink_to(tmp_path / 'nowhere')  # would be replaced
    left = plan.without_existing(overwrite=False, skip=True)
    assert results(left, tmp_path) == {'in/c.png': 'out/c.png'}
