"""tools/print_config.py: a summary, then the resolved text."""

import subprocess
import sys
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
LEAF = CONFIGS / 'setting_a' / 'dtir-unet_finetune_rainy_b16-300k.py'


def test_the_resolved_config_is_printed_after_a_summary(run_tool):
    printed = run_tool('print_config', LEAF)
    summary, text = printed.split('\n\n', 1)
    assert len(summary.splitlines()) <= 30
    assert 'starts from' in summary and 'work_dirs/dtir-unet_pretrain_rainy_b16-500k' in summary
    resolved = Config.fromfile(LEAF).to_dict()
    shown = {key: value for key, value in resolved.items() if not key.startswith('_')}
    assert Config.fromstring(text, '.py').to_dict() == shown


def test_overrides_are_in_summary_and_config(run_tool):
    options = ('--cfg-options', 'model.timesteps=fixed:31', 'global_batch_size=32')
    summary, text = run_tool('print_config', LEAF, *options).split('\n\n', 1)
    assert '32, in micro-batches of 2' in summary and 'rainy 31' in summary
    assert Config.fromstring(text, '.py').model.timesteps == 'fixed:31'


def test_a_closed_pipe_is_not_an_error():
    """As in ``print_config.py CONFIG | head -n 1``."""
    command = [sys.executable, ROOT / 'tools' / 'print_config.py', LEAF]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b''
