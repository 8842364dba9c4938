"""docs/evidence.md and its figures are what the committed results give, bit for bit."""

import subprocess
from pathlib import Path

import pytest
from evidence.evaluation import read_results
from evidence.page import FIGURES, render
from evidence.results import RESULTS
from evidence.runner import missing_cells

ROOT = Path(__file__).resolve().parents[1]


def test_page_and_figures_are_up_to_date():
    files = render(ROOT, RESULTS)
    old = [path.name for path, text in files.items() if path.read_text('utf-8') != text]
    assert old == [], 'run python experiments/run.py analyse'
    figures = {path for path in files if path.suffix == '.svg'}
    assert set((ROOT / FIGURES).glob('*')) == figures


def test_no_result_is_of_another_design():
    assert {path.stem for path in RESULTS.glob('*')} == set(read_results(RESULTS))
    of_earlier_configs = set(read_results(RESULTS)).intersection(missing_cells(RESULTS))
    assert not of_earlier_configs


def test_results_are_of_commits_in_the_history():
    commits = {result['commit'] for result in read_results(RESULTS).values()}
    shallow = subprocess.run(
        ['git', '-C', ROOT, 'rev-parse', '--is-shallow-repository'], capture_output=True, text=True
    )
    if shallow.stdout.strip() != 'false':
        pytest.skip('needs the whole history')
    for commit in commits:
        command = ['git', '-C', ROOT, 'merge-base', '--is-ancestor', commit, 'HEAD']
        assert subprocess.run(command, check=False).returncode == 0, commit
