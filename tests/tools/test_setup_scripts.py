"""tools/setup_env.sh and quickstart.sh, in an environment without pip: nothing is installed."""

import json
import os
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run_script(tmp_path):
    """Runs a script in a new environment that has dtir_mm of a folder."""
    venv.create(tmp_path / 'venv', symlinks=True)
    (packages,) = (tmp_path / 'venv' / 'lib').glob('*/site-packages')

    def run(name: str, *arguments: str, of: Path | None = None) -> subprocess.CompletedProcess:
        if of is not None:
            about = packages / 'dtir_mm-0.1.dist-info'
            about.mkdir()
            (about / 'METADATA').write_text('Metadata-Version: 2.1\nName: dtir_mm\nVersion: 0.1\n')
            origin = {'url': of.as_uri(), 'dir_info': {'editable': True}}
            (about / 'direct_url.json').write_text(json.dumps(origin))
        env = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
        return subprocess.run(
            ['bash', str(ROOT / 'tools' / name), *arguments],
            env={**env, 'VIRTUAL_ENV': str(tmp_path / 'venv')},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run


def test_an_environment_of_another_checkout_is_not_taken_over(run_script, tmp_path):
    other = tmp_path / 'other checkout'
    other.mkdir()
    result = run_script('setup_env.sh', of=other)
    assert (result.returncode, result.stdout) == (1, '')
    assert result.stderr.count('\n') == 1
    assert f'has dtir_mm of the checkout {other} installed' in result.stderr
    assert 'pip uninstall dtir_mm' in result.stderr


@pytest.mark.parametrize('of', [None, ROOT, Path('/nowhere/any more')])
def test_no_other_checkout_is_no_reason_to_stop(run_script, of):
    result = run_script('setup_env.sh', of=of)
    assert '[env] torch' in result.stdout and 'No module named pip' in result.stderr


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (('--photos', '/nowhere/photos'), 'no such folder of photographs: /nowhere/photos'),
        (('--photos', 'README.md'), 'no such folder of photographs: README.md'),
        (('--recipe', 'naive'), 'usage: bash tools/quickstart.sh'),
        (('--help',), 'usage: bash tools/quickstart.sh'),
    ],
)
def test_arguments_of_the_quickstart_are_checked_first(run_script, arguments, said):
    result = run_script('quickstart.sh', *arguments)
    assert (result.returncode, result.stdout) == (2, '')
    assert said in result.stderr and result.stderr.count('\n') == 1
