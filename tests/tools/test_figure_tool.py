"""tools/figure.py: the files that it writes, and what it refuses to."""

import json
from xml.etree import ElementTree

import pytest
from PIL import Image

from dtir_mm.analysis.summary import mean_rows, write_rows_csv


@pytest.fixture
def tested(tmp_path):
    """The output folder of a test of two tasks."""
    figures = {f'{prefix}{name}': 0.5 for prefix in ('', 'input_') for name in ('ssim', 'lpips')}
    figures |= {'t': 8, 'input_psnr': 20.0}
    rows = [
        {'task': task, 'domain': 'source', 'path': 'a.png', 'psnr': psnr} | figures
        for task, psnr in (('rainy', 25.0), ('noisy', 30.0))
    ]  # fmt: skip
    folder = tmp_path / 'test'
    folder.mkdir()
    write_rows_csv(rows, folder / 'images.csv')
    means = [row for method in ('input', 'ours') for row in mean_rows(rows, method)]
    summary = {'rows': means, 'images': [], 'protocol': 'rgb', 'timesteps': {}}
    (folder / 'summary.json').write_text(json.dumps(summary))
    return folder


@pytest.mark.parametrize(
    ('suffix', 'start'), [('png', b'\x89PNG'), ('PDF', b'%PDF'), ('svg', b'<?xml')]
)
def test_the_suffix_decides_on_the_format(run_tool, tested, suffix, start):
    out = tested / f'bars.{suffix}'
    assert f'written: {out}' in run_tool('figure', 'pretraining', tested, '--out', out)
    assert out.read_bytes().startswith(start)
    if suffix == 'png':
        assert len(Image.open(out).convert('L').getcolors()) > 10


def test_pdf_and_svg_have_text_and_no_outlines_of_letters(run_tool, tested):
    for suffix in ('pdf', 'svg'):
        run_tool('figure', 'pretraining', tested, '--out', tested / f'bars.{suffix}')
    pdf = (tested / 'bars.pdf').read_bytes()
    assert b'/TrueType' in pdf or b'/Type0' in pdf
    assert b'/Type3' not in pdf
    svg = ElementTree.parse(tested / 'bars.svg')
    texts = [text.text for text in svg.iter('{http://www.w3.org/2000/svg}text')]
    assert {'rainy', 'noisy', 'input', 'ours', 'source'} <= set(texts)


def test_a_file_that_cannot_be_written_is_named(failure_of, tested):
    message = failure_of('figure', 'pretraining', tested, '--out', '/proc/bars.png')
    assert "(its folder cannot be written to): '/proc/bars.png'" in message
    assert '.tmp' not in message


def test_what_is_there_is_replaced_only_on_request(run_tool, failure_of, tested):
    out = tested / 'bars.svg'
    out.write_text('mine')
    command = ('figure', 'pretraining', tested, '--out', out)
    assert f'{out} exists; give --overwrite' in failure_of(*command)
    assert out.read_text() == 'mine'
    run_tool(*command, '--overwrite')
    assert out.read_text().startswith('<?xml')


def test_other_formats_names_and_folders_are_refused(failure_of, tested):
    out = tested / 'bars.gif'
    message = failure_of('figure', 'pretraining', tested, '--out', out)
    assert f'{out}: the suffix of a figure must be one of .png, .pdf, .svg' in message
    message = failure_of('figure', 'bars', tested, '--out', 'a.png')
    assert "invalid choice: 'bars'" in message and 'radar' in message
    message = failure_of('figure', 'radar', tested / 'gone', '--out', 'a.png')
    assert f'no such folder of results: {tested}/gone' in message
    message = failure_of('figure', 'radar', tested, '--out', 'a.png')
    assert 'at least 3 tested tasks: source has noisy, rainy' in message
    message = failure_of('figure', 'order', tested, '--out', 'a.png')
    assert 'no run of incremental training' in message
    message = failure_of('figure', 'features', tested, '--out', 'a.png')
    assert f'{tested}' in message
    message = failure_of('figure', 'share', tested, '--out', 'a.png')
    assert 'does not have the config of training: repeat the test' in message
