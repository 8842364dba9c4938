"""tools/check_env.py: versions, timings, and one line for each problem."""

import re
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest
import torch

from dtir_mm.engine import precision


def test_versions_and_timings_are_printed(run_tool):
    printed = run_tool('check_env')
    found = dict(line.split(maxsplit=1) for line in printed.splitlines())
    assert found['Python'].startswith('.'.join(map(str, sys.version_info[:3])))
    assert found['torch'].startswith(f'{torch.__version__},')
    for package in ('numpy', 'mmengine', 'torchvision'):
        assert found[package] == version(package)
    assert re.fullmatch(r'1\.2\.\d, its NAFNet builds \(\d+ parameters\)', found['mmagic'])
    timing = r'fp32 (\S+) s per step, bf16 (\S+) s per step; precision="auto" selects (\S+)'
    fp32, bf16, taken = re.fullmatch(timing, found['precision']).groups()
    assert min(float(fp32), float(bf16)) > 0
    # If the rounded times are equal, either may have been faster.
    assert fp32 == bf16 or taken == ('fp32' if float(fp32) < float(bf16) else 'bf16')


@pytest.mark.parametrize('faster', ['fp32', 'bf16'])
def test_auto_selects_the_faster_precision(run_tool, monkeypatch, faster):
    seconds = {'fp32': 0.25, 'bf16': 0.5} if faster == 'fp32' else {'fp32': 0.25, 'bf16': 0.125}
    monkeypatch.setattr(precision, 'time_precisions', lambda device: seconds)
    assert f'bf16 {seconds["bf16"]:.4f} s per step; precision="auto" selects {faster}' in (
        run_tool('check_env')
    )
    assert precision.resolve_precision('auto', 'cpu') == faster


def test_each_problem_is_one_line(failure_of, capsys, monkeypatch):
    def lacking(name):
        if name in ('mmcv', 'mmcv-lite', 'lpips'):
            raise PackageNotFoundError(name)
        return '1.0'

    def no_timing(device):
        raise RuntimeError('the clock is broken\nand more of this')

    monkeypatch.setattr('dtir_mm.commands.check_env.version', lacking)
    monkeypatch.setattr(precision, 'time_precisions', no_timing)
    status, *wrong = failure_of('check_env').splitlines()
    assert status == '1' and len(wrong) == 3
    assert wrong[0].startswith('PROBLEM mmcv: not installed')
    assert wrong[1].startswith('PROBLEM lpips: not installed')
    assert wrong[2] == 'PROBLEM precision: the clock is broken'


def test_an_alternative_package_name_is_found(run_tool, monkeypatch):
    def headless(name):
        if name == 'opencv-python':
            raise PackageNotFoundError(name)
        return '1.0'

    monkeypatch.setattr('dtir_mm.commands.check_env.version', headless)
    monkeypatch.setattr(precision, 'time_precisions', lambda device: {'fp32': 1.0, 'bf16': 2.0})
    found = dict(line.split(maxsplit=1) for line in run_tool('check_env').splitlines())
    assert found['opencv-python'] == '1.0 (opencv-python-headless)'
    assert found['numpy'] == '1.0'
