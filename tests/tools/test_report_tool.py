"""tools/report.py: the page of a run on one task, and of one on two, in Chromium."""

import csv
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from browser import open_page
from mmengine.config import Config
from PIL import Image

from dtir_mm.analysis.comparison_strip import images_of
from dtir_mm.image_io import read_image
from dtir_mm.matching.timestep_match import TimestepMatch
from dtir_mm.matching.timesteps_file import write_timesteps

BASES = Path(__file__).resolve().parents[2] / 'configs' / '_base_'
ODD = '<img src=x onerror=alert(1)>.png'
WIDTHS = (1280, 390)
CURVE = [(1, 0.5), (5, 0.25), (9, 0.375), (50, 0.75)]
MATCH = TimestepMatch(5, (4, 9), 5, 0.9, 'identified', 'linear_probe', CURVE, 32)
UNIFIED = """
_base_ = [
    '{bases}/stages/paper/unify.py', '{bases}/datasets/photos_unified.py',
    '{bases}/schedules/adam_cosine_mini_10x300.py', '{bases}/runtime.py',
]
backbone = {backbone}
backbone['adapters'] = dict(num_experts=2, param_budget=20_000, prompt_dim=8)
model = dict(
    backbone=dict(_delete_=True, **backbone),
    timesteps=dict(_delete_=True, rainy=8, noisy=4),
    step=dict(regularizers=dict(importance=None, orthogonality=None)),
)
tasks = ('rainy', 'noisy')
photos = dict(type='DegradedPhotosDataset', folder='{photos}', shrink=1.0)
patches = [dict(type='RandomPatch', size=16), dict(type='PackSample')]
whole = [dict(type='PackSample')]
global_batch_size = 4
train_dataloader = dict(
    num_workers=0, dataset=dict(datasets=[dict(photos, task=t, pipeline=patches) for t in tasks])
)
evaluated = [dict(photos, task=t, pipeline=whole, max_photos=1) for t in tasks]
val_dataloader = dict(num_workers=0, dataset=dict(datasets=evaluated))
test_dataloader = dict(num_workers=0, dataset=dict(datasets=evaluated))
test_evaluator = dict(protocol='rgb_no_lpips')
default_hooks = dict(importance=None, layer_wise_decay=None, logger=dict(interval=1))
param_scheduler = dict(periods=[2] * 2, restart_weights=[1] * 2)
train_cfg = dict(max_iters=4, val_interval=2)
precision = 'fp32'
load_from = '{pretrained}'
"""


@pytest.fixture(scope='module')
def single(toy, tmp_path_factory) -> SimpleNamespace:
    """Pre-training, fine-tuning on rain, two tests of it, a file of time steps, and their page."""
    folder = tmp_path_factory.mktemp('report')
    made = SimpleNamespace(folder=folder / 'runs', page=folder / 'page' / 'index.html')
    for name in ('pretrain', 'finetune'):
        shutil.copytree(getattr(toy, name), made.folder / name)
    for i, name in enumerate((ODD, 'a.png', 'b.png')):
        (folder / 'photos').mkdir(exist_ok=True)
        shutil.copy(toy.photos / f'{i}.png', folder / 'photos' / name)
    data = f'test_dataloader.dataset.folder={folder / "photos"}'
    options = ('--cfg-options', data, 'test_dataloader.dataset.max_photos=3')
    for method, more in (('ours', ()), ('scratch', ('--ensemble',))):
        out = ('--work-dir', made.folder / f'test_{method}', '--method', method)
        assert toy.call('test', toy.config, toy.finetune, *out, *more, *options) is None
    write_timesteps(made.folder / 'timesteps.json', {'rainy': MATCH.to_json()}, {'num_steps': 50})
    assert toy.call('report', made.folder, '--out', made.page.parent) is None
    return made


@pytest.fixture(scope='module')
def unified(toy, tmp_path_factory) -> SimpleNamespace:
    """Incremental training on two tasks in two stages, its test, and their page."""
    folder = tmp_path_factory.mktemp('unified_report')
    made = SimpleNamespace(folder=folder / 'run', page=folder / 'page' / 'index.html')
    backbone = Config.fromfile(toy.config).model.backbone.to_dict()
    text = UNIFIED.format(
        bases=BASES, backbone=backbone, photos=toy.photos, pretrained=toy.pretrain
    )
    config = folder / 'unified.py'
    config.write_text(text)
    assert toy.call('train', config, '--work-dir', made.folder) is None
    assert toy.call('test', config, made.folder, '--work-dir', made.folder / 'test') is None
    assert toy.call('report', made.folder, '--out', made.page.parent) is None
    return made


def rows_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / 'images.csv', newline='') as file:
        return list(csv.DictReader(file))


def texts(page, selector: str) -> list[str]:
    return [text.strip() for text in page.locator(selector).all_inner_texts()]


def column(page, name: str) -> list[float]:
    """The values of a column of the table of all images, as shown."""
    number = 1 + texts(page, '.sortable th button').index(name)
    return [float(text) for text in texts(page, f'.sortable tbody tr > :nth-child({number})')]


@pytest.mark.parametrize('width', WIDTHS)
@pytest.mark.parametrize('kind', ['single', 'unified'])
def test_pages_fit_their_width_in_light_and_dark(chromium, request, kind, width):
    url = request.getfixturevalue(kind).page.as_uri()
    grounds = []
    for scheme in ('light', 'dark'):
        with open_page(chromium, url, width, color_scheme=scheme) as page:
            assert page.evaluate('document.documentElement.scrollWidth') == width
            grounds.append(page.evaluate('getComputedStyle(document.body).backgroundColor'))
            for line in page.locator('details').all():
                line.evaluate('element => element.open = true')
            assert page.evaluate('document.documentElement.scrollWidth') == width
    assert len(set(grounds)) == 2


@pytest.mark.parametrize('kind', ['single', 'unified'])
def test_the_summary_has_the_means_of_the_tests(chromium, request, kind):
    made = request.getfixturevalue(kind)
    with open_page(chromium, made.page.as_uri()) as page:
        for metric, places in (('psnr', 2), ('ssim', 4)):
            table = f'table[data-metric={metric}]'
            methods = texts(page, f'{table} thead th')[1:-1]
            shown = {}
            for line in page.locator(f'{table} tbody tr').all():
                group, *cells = [cell.split('\n')[0] for cell in line.inner_text().split('\t')]
                task, domain = group.split(', ')
                for method, cell in zip(methods, cells, strict=False):
                    shown[task, domain, method] = cell
            summaries = list(made.folder.rglob('test*/summary.json'))
            rows = [row for file in summaries for row in json.loads(file.read_text())['rows']]
            expected = {
                (row['task'], row['domain'], row['method']): f'{row[metric]:.{places}f}'
                for row in rows
            }
            assert {key: shown[key] for key in expected} == expected
        assert page.locator('table[data-metric=lpips]').count() == 0, 'it was not measured'


def test_every_image_is_listed_worst_first_and_sorted_by_any_column(chromium, single):
    rows = [row for name in ('ours', 'scratch') for row in rows_of(single.folder / f'test_{name}')]
    psnr = sorted(float(row['psnr']) for row in rows)
    gains = sorted(float(row['psnr']) - float(row['input_psnr']) for row in rows)
    with open_page(chromium, single.page.as_uri(), 390) as page:
        assert column(page, 'Gain, dB') == pytest.approx(gains, abs=0.00501)
        heading = page.get_by_role('button', name='PSNR, dB')
        head = page.locator('.sortable th', has=heading)
        heading.click()
        assert column(page, 'PSNR, dB') == pytest.approx(psnr, abs=0.00501)
        assert head.get_attribute('aria-sort') == 'ascending'
        page.keyboard.press('Enter')
        assert column(page, 'PSNR, dB') == pytest.approx(psnr[::-1], abs=0.00501)
        assert head.get_attribute('aria-sort') == 'descending'
        assert page.locator('.sortable [aria-sort]').count() == 1
        page.get_by_role('button', name='Image').click()
        names = texts(page, '.sortable tbody th')
        assert sorted(names) == sorted(Path(row['path']).name for row in rows)
        assert names[:4] != names[4:8], 'sorted by names, all of one name are together'
        assert len(set(names[:4])) == 1


def test_the_slider_follows_mouse_and_keyboard(chromium, single):
    with open_page(chromium, single.page.as_uri()) as page:
        slider = page.locator('.slider').first
        divider = slider.locator('input')
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        middle = box['y'] + box['height'] / 2
        page.mouse.move(box['x'] + box['width'] / 2, middle)
        page.mouse.down()
        page.mouse.move(box['x'] + 0.8 * box['width'], middle, steps=4)
        page.mouse.up()
        assert float(divider.input_value()) == pytest.approx(80, abs=1)
        split = "getComputedStyle(document.querySelector('.over')).clipPath"
        assert page.evaluate(split) == f'inset(0px 0px 0px {divider.input_value()}%)'
        divider.focus()
        page.keyboard.press('ArrowLeft')
        assert float(divider.input_value()) == pytest.approx(79, abs=1)
        assert 'input left of' in divider.get_attribute('aria-valuetext')

        name = page.locator('.example .name').first.inner_text()
        (file,) = (single.folder / 'test_ours' / 'images').glob(
            f'rainy_source_{Path(name).stem}.png'
        )
        degraded, restored, _ = images_of(read_image(file))
        page.add_style_tag(content='.slider input, .slider::after, .tag { visibility: hidden }')
        for key, image, other in (('End', degraded, restored), ('Home', restored, degraded)):
            divider.evaluate('element => element.style.visibility = "visible"')
            divider.focus()
            page.keyboard.press(key)
            divider.evaluate('element => element.style.visibility = "hidden"')
            seen = Image.open(io.BytesIO(slider.screenshot())).convert('RGB')
            seen = np.asarray(seen.resize(image.shape[1::-1]), float)
            assert np.abs(seen - image).mean() < 0.8 * np.abs(seen - other).mean()


def test_all_versions_zoom_at_the_same_place(chromium, single):
    with open_page(chromium, single.page.as_uri(), 390) as page:
        example = page.locator('.example').first
        images = example.locator('.frame img')
        assert texts(page, '.example:first-of-type .pane p')[0].startswith('input')

        def places() -> set[tuple[float, ...]]:
            """Scale, and the fixed point as shares of the size, of every version."""
            found = images.evaluate_all(
                """images => images.map(image => {
                    const style = getComputedStyle(image);
                    const [x, y] = style.transformOrigin.split(' ').map(parseFloat);
                    const scale = new DOMMatrix(style.transform).a;
                    return [scale, x / image.offsetWidth, y / image.offsetHeight];
                })"""
            )
            return {tuple(round(value, 1) for value in place) for place in found}

        assert images.count() == 2 + 4  # the slider's; input, two methods and ground truth
        assert places() == {(1.0, 0.5, 0.5)}
        frame = example.locator('.panes .frame').nth(1)
        frame.scroll_into_view_if_needed()
        box = frame.bounding_box()
        frame.click(position={'x': 0.2 * box['width'], 'y': 0.7 * box['height']})
        assert places() == {(4.0, 0.2, 0.7)}
        page.mouse.move(*(box[a] + 0.9 * box[b] for a, b in (('x', 'width'), ('y', 'height'))))
        assert places() == {(4.0, 0.9, 0.9)}
        example.locator('.panes').focus()
        for key in ('ArrowLeft', 'ArrowUp', '-', '-'):
            page.keyboard.press(key)
        assert places() == {(2.0, 0.8, 0.8)}
        example.locator('.zoom input').fill('1')
        assert places() == {(1.0, 0.8, 0.8)}


def test_all_controls_are_reached_by_keyboard_with_visible_focus(chromium, single):
    with open_page(chromium, single.page.as_uri()) as page:
        reached = []
        for _ in range(60):
            page.keyboard.press('Tab')
            kind, outline = page.evaluate(
                """() => {
                    const active = document.activeElement;
                    if (active === document.body) return ['end', 'solid'];
                    const shown = active.closest('.slider') ?? active;
                    const part = active.closest('.slider, .zoom, .panes, th, summary, nav');
                    const name = part?.className || part?.tagName;
                    return [name, getComputedStyle(shown).outlineStyle];
                }"""
            )
            reached.append(kind)
            assert outline != 'none', kind
        assert {'slider frame', 'zoom', 'panes', 'SUMMARY', 'NAV'} <= set(reached)
        assert 'number' in reached, 'headings of the table'


@pytest.mark.parametrize('width', WIDTHS)
def test_a_file_name_of_html_is_shown_and_runs_nothing(chromium, single, width):
    """Not even without the page's policy, which would not let it run either."""
    page_text = single.page.read_text()
    begin, end = '<meta http-equiv="Content-Security-Policy"', '\'">'
    assert page_text.count(begin) == 1
    policy = page_text[page_text.index(begin) :].partition(end)[0] + end
    free = single.page.with_name(f'free_{width}.html')
    free.write_text(page_text.replace(policy, ''))
    for file in (single.page, free):
        said = []
        with open_page(chromium, file.as_uri(), width) as page:
            page.on('dialog', lambda dialog, said=said: said.append(dialog.message))
            page.reload()
            assert ODD in texts(page, '.sortable tbody th')
            assert ODD in texts(page, '.example .name')
            assert page.locator('[onerror], img[src="x"]').count() == 0
        assert said == []


def test_curves_have_the_numbers_of_the_logs(chromium, unified):
    (log,) = unified.folder.glob('*/vis_data/scalars.json')
    records = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [f'run, {r["iter"]}: {r["content"]:.6g}' for r in records if 'content' in r]
    psnr = [r['psnr'] for r in records if 'psnr' in r]
    assert (len(losses), len(psnr)) == (4, 2)
    with open_page(chromium, unified.page.as_uri()) as page:
        for title, points in (
            ('Restoration loss', losses),
            ('Validation PSNR, dB', [f'run, {2 + 2 * i}: {psnr[i]:.6g}' for i in range(2)]),
        ):
            chart = page.get_by_role('img', name=f'{title} against updates')
            assert chart.locator('circle title').all_text_contents() == points


def test_matching_curves_are_those_of_the_file(chromium, single):
    with open_page(chromium, single.page.as_uri()) as page:
        matching = page.locator('#steps .chart')
        points = [f'relative error, {t}: {error:.6g}' for t, error in CURVE]
        assert matching.locator('circle title').all_text_contents() == points
        x = {
            t: matching.locator('circle').nth(i).get_attribute('cx')
            for i, (t, _) in enumerate(CURVE)
        }
        assert matching.locator('.mark').get_attribute('x1') == x[5]
        band = matching.locator('.band')
        right = float(band.get_attribute('x')) + float(band.get_attribute('width'))
        assert right == pytest.approx(float(x[9]) + 1, abs=0.2)
        assert texts(page, '#steps .words') == ['t_mat = 5 (90 % interval 4..9), identified']


def test_forgetting_is_that_of_the_run(chromium, unified):
    table = json.loads((unified.folder / 'forgetting.json').read_text())
    first, last = (row['psnr'] for row in table['rows'])
    with open_page(chromium, unified.page.as_uri(), 390) as page:
        assert texts(page, '.heat thead th') == ['Stage', 'noisy', 'rainy']
        lost = max(first['noisy'] - last['noisy'], 0)
        assert [line.split('\t') for line in texts(page, '.heat tbody tr')] == [
            ['1', f'{first["noisy"]:.2f}', f'({first["rainy"]:.2f})'],
            ['2', f'{last["noisy"]:.2f}', f'{last["rainy"]:.2f}'],
            ['Lost', f'{lost:.2f}', '0.00'],
        ]
        shades = page.locator('.heat tbody td').evaluate_all(
            "cells => cells.map(cell => cell.style.getPropertyValue('--shade'))"
        )
        expected = f'{min(lost / 3, 1):.3f}'
        assert shades == ['0.000', '', expected, '0.000', '', '']


def test_configs_environment_and_messages_are_those_of_the_runs(chromium, single):
    (config,) = (single.folder / 'finetune').glob('*/vis_data/config.py')
    (log,) = (single.folder / 'finetune').glob('*/*.log')
    warnings = [
        line.split(' - WARNING - ')[1]
        for line in log.read_text().splitlines()
        if ' - WARNING - ' in line
    ]
    with open_page(chromium, single.page.as_uri()) as page:
        run = page.locator('#configs details').filter(
            has=page.locator('summary', has_text='finetune')
        )
        assert run.locator('pre').text_content() == config.read_text()
        assert 'PyTorch' in run.locator('dt').all_text_contents()
        shown = page.locator('#messages').inner_text()
        assert all(line in shown for line in warnings)
        assert '2 training runs, 2 tests' in page.locator('header').inner_text()


def test_the_page_is_one_small_file_and_is_not_overwritten(single, run_tool, failure_of):
    assert [file.name for file in single.page.parent.glob('*') if 'free' not in file.name] == [
        'index.html'
    ]
    assert single.page.stat().st_size < 15e6
    arguments = ('report', single.folder, '--out', single.page.parent)
    assert 'index.html exists; give --overwrite' in failure_of(*arguments)
    before = single.page.read_text()
    assert 'written: ' in run_tool(*arguments, '--overwrite')
    assert single.page.read_text() == before
    single.page.write_text('<p>My own page</p>')
    message = failure_of(*arguments, '--overwrite')
    assert 'index.html is not a report of dtir-mm, so it is kept' in message
    assert single.page.read_text() == '<p>My own page</p>'
    single.page.write_text(before)


def test_folders_without_results_are_named(failure_of, single, tmp_path):
    assert 'no such folder of results: nowhere' in failure_of(
        'report', 'nowhere', '--out', tmp_path
    )
    (tmp_path / 'empty').mkdir()
    message = failure_of('report', tmp_path / 'empty', '--out', tmp_path)
    assert f'{tmp_path / "empty"} has no results' in message


def test_tests_on_other_images_do_not_share_a_page(failure_of, single, tmp_path):
    other = tmp_path / 'other'
    shutil.copytree(single.folder / 'test_ours', other)
    lines = (other / 'images.csv').read_text().splitlines()
    (other / 'images.csv').write_text('\n'.join(lines[:-1]) + '\n')
    summary = json.loads((other / 'summary.json').read_text())
    for row in summary['rows']:
        row['n'] -= row['domain'] == 'target'
    (other / 'summary.json').write_text(json.dumps(summary))
    message = failure_of('report', single.folder / 'test_ours', other, '--out', tmp_path)
    assert 'tested rainy / target on 2 and on 3 images, and cannot be compared' in message
