"""tools/test.py --publish: what it rejects before testing, and what it writes."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from dtir_mm.analysis import publishing

COMMIT = 'a' * 40
PAGE = """# Toy

<!-- results
protocol: rgb_no_lpips
figures: psnr, ssim
ours: {row} average source
unseen: {row} average target
-->
| run | ours | unseen |
|---|---|---|
| `toy_b2-2` | | |

<!-- end of results -->
"""


@pytest.fixture
def publish(toy, tmp_path, monkeypatch) -> SimpleNamespace:
    """A config beside a page, and the command that publishes its run."""
    monkeypatch.setattr(publishing, 'git_commit', lambda besides: COMMIT)
    folder = tmp_path / 'configs' / 'toy'
    folder.mkdir(parents=True)
    config = Path(shutil.copy(toy.config, folder / 'toy_b2-2.py'))
    page = folder / 'README.md'
    page.write_text(PAGE)
    out = tmp_path / 'out'
    arguments = ('test', config, toy.finetune, '--work-dir', out, '--images', '0', '--publish')
    return SimpleNamespace(config=config, page=page, out=out, arguments=arguments)


def test_results_are_written_with_their_origin(run_tool, publish):
    printed = run_tool(*publish.arguments)
    summary = json.loads((publish.out / 'summary.json').read_text())
    assert summary['protocol'] == 'rgb_no_lpips'
    means = {row['domain']: row for row in summary['rows'] if row['method'] == 'ours'}
    source, unseen = (
        f'{row["psnr"]:.2f} / {row["ssim"]:.3f}'.replace(' 0.', ' .')
        for row in (means['source'], means['target'])
    )
    text = publish.page.read_text()
    assert f'| `toy_b2-2` | {source} | {unseen} |' in text
    assert re.search(
        rf'- `toy_b2-2`: seed 0, commit {COMMIT}, protocol `rgb_no_lpips`, '
        r'config [0-9a-f]{12}, checkpoint [0-9a-f]{12}\n',
        text,
    )
    assert f'published: {publish.page}' in printed


def test_published_results_need_replace(run_tool, failure_of, publish):
    publish.page.write_text(PAGE.replace('| | |', '| 99.99 / .999 | 88.88 / .888 |'))
    before = publish.page.read_text()
    message = failure_of(*publish.arguments)
    assert '99.99 / .999' in message and '--replace' in message
    assert publish.page.read_text() == before
    run_tool(*publish.arguments, '--replace')
    assert '99.99' not in publish.page.read_text()


@pytest.mark.parametrize(
    ('commit', 'message'), [(None, 'in no commit'), (f'{COMMIT}-dirty', 'changed since aaaa')]
)
def test_uncommitted_code_is_rejected(failure_of, publish, monkeypatch, commit, message):
    monkeypatch.setattr(publishing, 'git_commit', lambda besides: commit)
    assert message in failure_of(*publish.arguments)
    assert publish.page.read_text() == PAGE
    assert not (publish.out / 'summary.json').exists(), 'it was tested first'


def test_another_protocol_is_rejected(failure_of, publish):
    message = failure_of(*publish.arguments, '--protocol', 'y')
    assert 'under the protocol rgb_no_lpips, this test is under y' in message


def test_a_config_without_a_table_is_rejected(failure_of, publish):
    publish.page.write_text('# Nothing\n')
    assert 'README.md with a table of results' in failure_of(*publish.arguments)
    publish.page.write_text(PAGE.replace('toy_b2-2', 'toy_b2-3'))
    assert 'no table of the page has a cell for toy_b2-2' in failure_of(*publish.arguments)


def test_overrides_are_rejected(failure_of, publish):
    message = failure_of(*publish.arguments, '--cfg-options', 'model.tile=512')
    assert '--cfg-options' in message


@pytest.mark.parametrize(
    ('more', 'differs'),
    [
        ("model['step']['mixing'] = dict(ratio=0.0)", 'model.step.mixing.ratio'),
        ('optim_wrapper = dict(optimizer=dict(lr=0.1))', 'optim_wrapper.optimizer.lr'),
        ("train_dataloader['dataset']['max_photos'] = 6", 'train_dataloader.dataset.max_photos'),
        ("default_hooks['ema'] = dict(type='WeightEMAHook')", 'default_hooks.ema'),
    ],
)
def test_a_checkpoint_of_another_config_is_rejected(failure_of, publish, more, differs):
    publish.config.write_text(f'{publish.config.read_text()}\n{more}\n')
    message = failure_of(*publish.arguments)
    assert 'trained by another config' in message and differs in message


def test_micro_batches_are_not_another_config(run_tool, publish):
    text = publish.config.read_text() + "\nmodel['step']['micro_batch_size'] = 1\n"
    publish.config.write_text(text)
    assert 'published' in run_tool(*publish.arguments)


@pytest.mark.parametrize('name', ['toy_b4-2', 'toy_b2-4'])
def test_another_batch_or_fewer_updates_are_rejected(failure_of, publish, name):
    config = publish.config.rename(publish.config.with_name(f'{name}.py'))
    publish.page.write_text(PAGE.replace('toy_b2-2', name))
    message = failure_of('test', config, *publish.arguments[2:])
    assert 'has 2 updates of 2 samples' in message
