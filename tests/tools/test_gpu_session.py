"""The script that uses a borrowed GPU, with a Python that fails in its tests."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / 'tools' / 'gpu_session.sh'
PYTHON = """#!/bin/sh
echo "ran $*"
case "$*" in
  *"-m pytest"*) exit 3 ;;
  *train.py*) for i in 500 1000; do echo $i > work_dirs/gpu_session/joint/iter_$i.pth; done ;;
esac
"""


@pytest.fixture
def session(tmp_path):
    """Runs a copy of the script in a folder with photographs; returns what it prints."""
    program = tmp_path / 'bin' / 'python'
    for folder in ('bin', 'tools', 'data/photos/train', 'work_dirs/gpu_session/joint'):
        (tmp_path / folder).mkdir(parents=True)
    program.write_text(PYTHON)
    program.chmod(0o755)
    copy = shutil.copy(SCRIPT, tmp_path / 'tools')

    def run(*arguments: str, **env: str) -> str:
        path = f'{program.parent}{os.pathsep}{os.environ["PATH"]}'
        env = {**os.environ, 'OUT': str(tmp_path / 'out'), 'PATH': path, **env}
        result = subprocess.run(
            ['bash', copy, *arguments], env=env, capture_output=True, text=True, timeout=60
        )
        assert result.returncode == 0 and result.stderr == ''
        return result.stdout

    return run


def test_a_failed_step_does_not_stop_the_others(session, tmp_path):
    printed = session()
    out = tmp_path / 'out'
    logs = ('environment', 'gpu_tests', 'benchmarks', 'training')
    assert all((out / f'{name}.log').read_text().startswith('ran ') for name in logs)
    summary = (out / 'summary.txt').read_text()
    assert printed.endswith(summary)
    assert re.sub(r'\d+ s,', '0 s,', summary).splitlines() == [
        'environment: 0 s, done',
        'gpu_tests: 0 s, exit status 3',
        'benchmarks: 0 s, done',
        'training: 0 s, done',
        'checkpoint: work_dirs/gpu_session/joint/iter_1000.pth',
    ]
    assert (out / 'checkpoint.part_aa').read_text() == '1000\n'
    assert '--resume --cfg-options' in (out / 'training.log').read_text()


def test_settings_come_from_the_environment(session, tmp_path):
    session(RESUME_FROM='a file.pth', OPTIONS='global_batch_size=32 x=1', WHEELS='wheels')
    training = (tmp_path / 'out' / 'training.log').read_text()
    assert '--resume a file.pth --cfg-options' in training
    assert training.endswith(' global_batch_size=32 x=1\n')
    assert (tmp_path / 'out' / 'install.log').is_file()


def test_no_step_begins_when_the_time_is_over(session, tmp_path):
    session(MINUTES='0')
    summary = (tmp_path / 'out' / 'summary.txt').read_text()
    assert summary.startswith('environment: no time left\ngpu_tests: no time left\n')


def test_a_dry_run_prints_the_commands_alone(session, tmp_path):
    printed = session('--dry-run').splitlines()
    assert [line.partition(',')[0] for line in printed] == [
        'environment', 'gpu_tests', 'benchmarks', 'training',
    ]  # fmt: skip
    assert printed[1] == 'gpu_tests, at most 120 s: python -m pytest -q -m gpu tests'
    assert not (tmp_path / 'out').exists()
