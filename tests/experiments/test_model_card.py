"""The model card's results: computed from files of measurements, and up to date."""

import re
from pathlib import Path
from statistics import fmean

import pytest
from cases import COMPOSITES, TASKS
from measurements import Measurements, beaten, cell, found, mean
from page import CARD, README, RESULTS, filled, overview, text_of
from quoted import TABLE_2
from record import sha256, write_record

ROOT = Path(__file__).resolve().parents[2]
ABOUT = {
    'commit': 'c' * 40, 'versions': {}, 'file': 'dtir-mm.safetensors', 'file_sha256': 'f' * 64,
    'split': 'test', 'protocol': 'rgb_no_lpips',
}  # fmt: skip


def figures(psnr: float, **more) -> dict:
    """Of two photographs with this mean PSNR."""
    ratios = {'border': [1.0, 1.2], 'grid': [1.1, 1.1]}
    return {**more, 'psnr': [psnr - 1, psnr + 1], 'ssim': [0.7, 0.8], **ratios}


def measured(domain: str, *tasks: str, **methods: dict) -> dict:
    return {'domain': domain, 'tasks': list(tasks), 'photos': ['a', 'b'], **methods}


def released_cases() -> list[dict]:
    cases = []
    for severity in ('source', 'target'):
        for place, task in enumerate(TASKS):
            blind = figures(19 + place / 4, t=[1, 0], found=['unsure', 'clean'])
            told = figures(20 + place)
            cases.append(measured(severity, task, input=figures(20), told=told, blind=blind))
    for tasks in COMPOSITES:
        told = {f'told {task}': figures(21 + place) for place, task in enumerate(tasks)}
        blind = figures(24, t=[4, 4], found=['noisy', 'noisy'])
        cases.append(measured('composite', *tasks, input=figures(18), blind=blind, **told))
    blind = {**figures(0, t=[0, 38]), 'psnr': [100.0, 44.0]}
    cases.append(measured('clean', input=figures(100), blind=blind))
    for domain, task in (('CBSD68', 'noisy'), ('LIVE1', 'jpeg')):
        cases.append(measured(domain, task, input=figures(15), told=figures(27)))
    return cases


@pytest.fixture
def results(tmp_path):
    write_record(tmp_path / 'released.json', ABOUT, released_cases())
    tuned = {
        task: {'input': 20, 'methods': [{'name': 'gamma', 'psnr': 24}], 'chosen': 'gamma'}
        for task in TASKS
    }
    tuned['raindrop']['methods'][0]['psnr'] = 19
    cases = [
        measured(severity, task, input=figures(20), classical=figures(24.5))
        for severity in ('source', 'target')
        for task in TASKS
    ]
    write_record(tmp_path / 'classical.json', {**ABOUT, 'tuned': tuned}, cases)
    return tmp_path


def test_cells_are_means(results):
    released = Measurements(results / 'released.json')
    case = released.case('target', TASKS[3])
    assert mean(case, 'told') == 23
    assert cell(case, 'told') == '23.00 / .750'
    assert cell(case, 'nothing') == '-'
    assert found(case) == 'clean 1, unsure 1'
    won = beaten(released, 'told', released, 'input', 'source')
    assert won == {task: task != TASKS[0] for task in TASKS}  # the first is equal
    assert beaten(released, 'nothing', released, 'input', 'source') is None


def test_the_text_counts_and_lists(results):
    text = text_of(results)
    assert (
        '- **the input**: non-blind, on 9 of 10 tasks at the source severity (not noisy) and on 9 '
        'of 10 tasks at the target severity (not noisy); blind, on 5 of 10'
    ) in text
    assert (
        '- **the best classical method**: non-blind, on 5 of 10 tasks at the source severity (not '
        'noisy, rainy, jpeg, snowy, inpainting)'
    ) in text
    assert '| rainy | 20.00 / .750 | 24.50 / .750, gamma | 21.00 / .750 |' in text
    assert 'On raindrop, no classical method gains 0.05 dB on the validation photographs.' in text
    assert '| hazy + rainy | 18.00 / .750 | 24.00 / .750 | noisy 2 | 21.00 / .750 |' in text
    assert (
        'Clean photographs restored blind: 1 of 2 come back above 45 dB, 1 of 2 are returned '
        'unchanged; the lowest PSNR is 44.0 dB.'
    ) in text
    assert '| this model, non-blind | 27.00 / .750 | 27.00 / .750 |' in text
    assert '| Ours, quoted | 27.53 / .787 / .252 | 27.01 / .796 / .262 |' in text
    assert 'from scratch' not in text


def test_the_same_network_by_another_recipe_is_a_column(results):
    write_record(results / 'scratch.json', ABOUT, released_cases())
    text = text_of(results)
    assert '- **the same network from scratch, 9900 updates**: non-blind, on 0 of 10 tasks' in text
    assert text.count('| from scratch, 9900 updates |') == 2


def test_other_photographs_are_not_compared(results):
    cases = released_cases()
    cases[4]['photos'] = ['a', 'c']
    write_record(results / 'scratch.json', ABOUT, cases)
    with pytest.raises(ValueError, match=r'other photographs of source, inpainting'):
        text_of(results)
    write_record(results / 'scratch.json', {**ABOUT, 'protocol': 'rgb'}, released_cases())
    with pytest.raises(ValueError, match=r'under protocol rgb_no_lpips.*under rgb'):
        text_of(results)


def test_only_the_marked_part_of_the_card_is_replaced():
    card = '# A\n<!-- measured -->\nold\n<!-- end of measured -->\nend\n'
    once = filled(card, 'new\n')
    assert once == '# A\n<!-- measured -->\n\nnew\n\n<!-- end of measured -->\nend\n'
    assert filled(once, 'new\n') == once
    with pytest.raises(ValueError, match='must have a line'):
        filled('# A\n', 'new\n')


def test_quoted_results_are_those_of_the_other_pages():
    page = (ROOT / 'configs' / 'setting_b' / 'README.md').read_text()
    for row, data in (('noisy', 'CBSD68'), ('jpeg', 'LIVE1')):
        lines = '\n'.join(line for line in page.splitlines() if line.startswith(f'| {row} |'))
        for name in ('Ours', 'Ours + NAFNet', 'Ours + X-Restormer', 'NAFNet'):
            psnr, ssim, lpips = TABLE_2[name][data]
            assert f'{psnr:.2f} / {ssim:.3f} / {lpips:.3f}'.replace(' 0.', ' .') in lines


@pytest.mark.skipif(not CARD.is_file(), reason='there is no released model yet')
def test_card_and_readme_are_up_to_date():
    for page, text in ((CARD, text_of(RESULTS)), (README, overview(RESULTS))):
        content = page.read_text(encoding='utf-8')
        assert filled(content, text) == content
    file = CARD.parent / Measurements(RESULTS / 'released.json').about['file']
    assert sha256(file) == Measurements(RESULTS / 'released.json').about['file_sha256']


def test_the_committed_classical_results_are_complete():
    classical = Measurements(RESULTS / 'classical.json')
    assert re.fullmatch('[0-9a-f]{40}', classical.about['commit'])
    for severity in ('source', 'target'):
        assert classical.keys(severity) == [(task,) for task in TASKS]
        for task in TASKS:
            case = classical.case(severity, task)
            assert len(case['photos']) == len(case['classical']['psnr']) == 14
    for task in TASKS:
        tuned = classical.about['tuned'][task]
        best = max(tuned['methods'], key=lambda method: method['psnr'])
        assert tuned['chosen'] == best['name']
    gained = [mean(classical.case('source', task), 'classical') for task in TASKS]
    before = [mean(classical.case('source', task), 'input') for task in TASKS]
    assert fmean(gained) > fmean(before) + 3


def test_the_quickstart_measured_the_same_inputs():
    classical = Measurements(RESULTS / 'classical.json')
    page = (ROOT / 'configs' / 'mini' / 'README.md').read_text()
    for task in ('noisy', 'rainy', 'low_light'):
        cells = [cell(classical.case(severity, task), 'input') for severity in ('source', 'target')]
        assert f'| {task.replace("_", " ")}: input | {" | ".join(cells)} |' in page
