"""Tables of results: finding a config's cells, filling them, and never overwriting silently."""

import re
from pathlib import Path
from statistics import fmean

import pytest

from dtir_mm.analysis.results_page import Origin, blocks_of, cells_of, fill_page

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PAGES = [
    CONFIGS / name / 'README.md' for name in ('setting_a', 'setting_b', 'ablations', 'released')
]
LEAVES = [
    path.stem
    for folder in ('setting_a', 'setting_b', 'ablations', 'released')
    for path in sorted((CONFIGS / folder).rglob('*.py'))
]
PAGE = """# A page

| a table | of something else |
|---|---|
| `net_a_b16-1k` | |

<!-- results
protocol: rgb
figures: psnr, ssim
ours: {row} average source
unseen: {row} average target
-->
| run | quoted | ours | unseen |
|---|---|---|---|
| a rival | 30.00 / .900 | | |
| [`net_a_b16-1k`](net_a_b16-1k.py) | 29.08 / .933 | | |
| [`net_b_b16-1k`](net_b_b16-1k.py) | | | |

<!-- end of results -->

More text.

<!-- results
protocol: y
figures: psnr
told: net_c_b16-2k {row} source
blind: net_c_b16-2k {row} source blind
-->
| task | told | blind |
|---|---|---|
| hazy | | |
| average | | |

<!-- end of results -->
"""


def mean(task, domain, psnr, ssim, method='ours'):
    return dict(task=task, domain=domain, method=method, psnr=psnr, ssim=ssim, lpips=None, n=3)


MEANS = [
    mean('hazy', 'source', 10.0, 0.1, 'input'),
    mean('hazy', 'source', 29.084, 0.9334),
    mean('hazy', 'target', 7.5, 0.5),
    mean('rainy', 'source', 31.0, 0.95),
    mean('rainy', 'target', 8.5, 0.7),
    mean('hazy', 'source', 28.0, 0.9, 'ours, blind'),
    mean('rainy', 'source', 26.0, 0.9, 'ours, blind'),
]


def origin(config='net_a_b16-1k', protocol='rgb', commit='c' * 40) -> Origin:
    return Origin(config, 3, commit, protocol, 'abc', 'def')


def test_a_config_fills_its_own_cells_and_nothing_else():
    filled = fill_page(PAGE, MEANS, 'ours', origin())
    expected = PAGE.replace(
        '(net_a_b16-1k.py) | 29.08 / .933 | | |',
        '(net_a_b16-1k.py) | 29.08 / .933 | 30.04 / .942 | 8.00 / .600 |',
    ).replace(
        '\n\n<!-- end of results -->\n\nMore',
        f'\n\n- `net_a_b16-1k`: seed 3, commit {"c" * 40}, protocol `rgb`, config abc, '
        f'checkpoint def\n\n<!-- end of results -->\n\nMore',
    )
    assert filled == expected
    assert fill_page(filled, MEANS, 'ours', origin()) == filled


def test_tasks_and_average_are_filled():
    filled = fill_page(PAGE, MEANS, 'ours', origin('net_c_b16-2k', 'y'))
    assert '| hazy | 29.08 | 28.00 |' in filled
    assert f'| average | {fmean([29.084, 31.0]):.2f} | 27.00 |' in filled


def test_a_config_may_have_cells_in_several_tables():
    page = PAGE.replace('protocol: y', 'protocol: rgb').replace('net_c_b16-2k', 'net_a_b16-1k')
    filled = fill_page(page, MEANS, 'ours', origin())
    assert '(net_a_b16-1k.py) | 29.08 / .933 | 30.04 / .942 |' in filled
    assert '| hazy | 29.08 | 28.00 |' in filled
    assert filled.count('- `net_a_b16-1k`') == filled.count('<!-- end of results -->') == 2
    assert filled.startswith(PAGE.split('<!--')[0]) and '\n\nMore text.\n\n' in filled


def test_different_results_are_shown_and_not_overwritten():
    filled = fill_page(PAGE, MEANS, 'ours', origin())
    better = [{**row, 'psnr': row['psnr'] + 1} for row in MEANS]
    with pytest.raises(ValueError, match=r'--replace') as error:
        fill_page(filled, better, 'ours', origin())
    assert '30.04 / .942; 8.00 / .600' in str(error.value)
    assert '31.04 / .942; 9.00 / .600' in str(error.value)
    with pytest.raises(ValueError, match=f'commit {"c" * 40}.*commit {"d" * 40}'):
        fill_page(filled, MEANS, 'ours', origin(commit='d' * 40))
    replaced = fill_page(filled, better, 'ours', origin(commit='d' * 40), replace=True)
    assert '31.04 / .942 | 9.00 / .600' in replaced and 'c' * 40 not in replaced
    assert replaced.count('- `net_a_b16-1k`') == 1


def test_two_configs_have_their_origins_side_by_side():
    page = fill_page(PAGE, MEANS, 'ours', origin('net_b_b16-1k'))
    page = fill_page(page, MEANS, 'ours', origin())
    listed = [line for line in page.splitlines() if line.startswith('- ')]
    assert [re.match(r'- `(\w+)', line)[1] for line in listed] == ['net_a_b16', 'net_b_b16']
    assert page.count('30.04 / .942') == 2


@pytest.mark.parametrize(
    ('config', 'protocol', 'message'),
    [
        ('net_d_b16-1k', 'rgb', 'no table of the page has a cell for net_d'),
        ('net_a_b16-1k', 'y', 'under the protocol rgb, this test is under y'),
        ('net_a_b16-2k', 'rgb', 'no table of the page has a cell for net_a_b16-2k'),
    ],
)
def test_configs_that_are_not_on_the_page_are_rejected(config, protocol, message):
    with pytest.raises(ValueError, match=message):
        fill_page(PAGE, MEANS, 'ours', origin(config, protocol))


def test_metrics_that_were_not_measured_are_rejected():
    sources = [row for row in MEANS if row['domain'] == 'source']
    with pytest.raises(ValueError, match="domain 'target', method 'ours', which this test did not"):
        fill_page(PAGE, sources, 'ours', origin())
    page = PAGE.replace('figures: psnr, ssim', 'figures: psnr, lpips')
    with pytest.raises(ValueError, match='psnr, lpips'):
        fill_page(page, MEANS, 'ours', origin())


def test_missing_columns_are_rejected():
    with pytest.raises(ValueError, match='no column theirs'):
        blocks_of(PAGE.replace('ours: {row}', 'theirs: {row}'))


# --- the pages themselves ---------------------------------------------------------------------


def test_every_restoration_config_is_on_one_page():
    places = {stem: [p.parent.name for p in PAGES for block in blocks_of(p.read_text())
                     if cells_of(block, stem)] for stem in LEAVES}  # fmt: skip
    wrong = {
        stem: found for stem, found in places.items() if len(found) != ('_pretrain_' not in stem)
    }
    assert len(LEAVES) > 100 and wrong == {}


def test_pages_name_only_existing_configs():
    named = {
        cell.config for page in PAGES for b in blocks_of(page.read_text()) for cell in b.cells()
    }
    assert named - set(LEAVES) == set()
    links = re.findall(r'\((\S+\.py)\)', ''.join(page.read_text() for page in PAGES))
    assert {Path(link).stem for link in links} <= set(LEAVES)


def test_pages_are_measured_by_the_protocol_of_the_paper():
    assert {block.protocol for page in PAGES for block in blocks_of(page.read_text())} == {'rgb'}


def test_quoted_averages_are_those_of_the_quoted_rows():
    """Typing errors would show: the paper's averages are the means of its ten tasks."""
    text = PAGES[1].read_text()
    for table in re.findall(r'((?:^\|.*\n)+)', text.split('## Results')[1], re.MULTILINE):
        rows = [line.split('|')[1:-1] for line in table.splitlines()]
        for column, name in enumerate(rows[0]):
            if 'quoted' not in name:
                continue
            cells = [[float(x) for x in row[column].split('/')] for row in rows[2:]]
            *tasks, average = cells
            assert len(tasks) == 10
            for i, tolerance in enumerate((0.011, 0.0011, 0.0011)):
                mean = fmean(row[i] for row in tasks)
                assert average[i] == pytest.approx(mean, abs=tolerance), (name, i)


def test_the_whole_recipe_is_quoted_alike_on_both_pages():
    quoted = re.findall(
        r'dtir-unet_finetune_(\w+)_b16-300k.py\) \| (\S+ / \S+) \|.*?\| (\S+ / \S+) \|',
        PAGES[0].read_text(),
    )
    everything = re.findall(
        r'see \[setting_a\]\(../setting_a\) \| (\S+ / \S+) \|.*?\| (\S+ / \S+) \|',
        PAGES[2].read_text(),
    )
    assert [pair for _, *pair in quoted] == [list(pair) for pair in everything]
    assert len(quoted) == 4
