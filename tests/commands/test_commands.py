"""dtir-mm: its overview, the commands, and what it says to a name that is none."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from dtir_mm import __version__, commands

LIGHT = """
import sys
from dtir_mm.commands import main

assert main() == 0
assert not {'torch', 'numpy', 'mmengine', 'cv2'} & sys.modules.keys()
"""


def ending(monkeypatch, *arguments: object) -> int | str | None:
    monkeypatch.setattr(sys, 'argv', ['/bin/dtir-mm', *map(str, arguments)])
    try:
        return commands.main()
    except SystemExit as leaving:
        return leaving.code


@pytest.mark.parametrize('arguments', [[], ['--help']])
def test_the_overview_has_a_line_for_each_command_and_imports_little(arguments):
    command = [sys.executable, '-c', LIGHT, *arguments]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = [line.split(maxsplit=1) for line in run.stdout.splitlines() if line.startswith('  ')]
    assert {name: does for name, does in lines if name in commands.COMMANDS} == {
        name: does for name, (_, does) in commands.COMMANDS.items()
    }
    assert max(map(len, run.stdout.splitlines())) <= 80


def test_each_command_is_a_module_with_a_main():
    for module, _ in commands.COMMANDS.values():
        assert callable(import_module(f'dtir_mm.commands.{module}').main)
    files = {path.stem for path in Path(commands.__file__).parent.glob('*.py')} - {'__init__'}
    assert files == {module for module, _ in commands.COMMANDS.values()}


def test_a_misspelt_command_is_answered_with_the_nearest(monkeypatch, capsys):
    assert ending(monkeypatch, 'trian', 'x.py') == 2
    said = "dtir-mm: no command 'trian'; nearest: train (--help lists them)\n"
    assert capsys.readouterr() == ('', said)


@pytest.mark.parametrize('name', ['match-timesteps', 'match_timesteps', 'mach'])
def test_names_of_scripts_are_answered_with_the_command(monkeypatch, capsys, name):
    assert ending(monkeypatch, name) == 2
    assert f'no command {name!r}; nearest: match (--help' in capsys.readouterr().err


def test_the_version(monkeypatch, capsys):
    assert ending(monkeypatch, '--version') == 0
    assert capsys.readouterr().out == f'dtir-mm {__version__}\n'


def test_usage_and_errors_name_the_command(monkeypatch, capsys):
    assert ending(monkeypatch, 'match', '--help') == 0
    assert capsys.readouterr().out.startswith('usage: dtir-mm match [-h]')
    assert ending(monkeypatch, 'match', 'no.pth') == 2
    assert capsys.readouterr().err.startswith('match: the following arguments are required')
    arguments = ('match', 'no.pth', 'x.json', '--photos', 'no', '--tasks', 'rainy')
    assert ending(monkeypatch, *arguments) == 1
    assert capsys.readouterr().err.startswith('match: no such')
    assert ending(monkeypatch, 'print-config', 'no.py') == 1
    assert capsys.readouterr().err.startswith('print-config: no such config: no.py')


def test_missing_packages_are_one_line_except_for_check_env(monkeypatch, capsys):
    def lacking() -> None:
        raise ImportError('dtir_mm needs mmcv: pip install "mmcv-lite==2.1.0"')

    monkeypatch.setattr(commands, 'check_versions', lacking)
    assert ending(monkeypatch, 'train', 'x.py') == (
        'train: dtir_mm needs mmcv: pip install "mmcv-lite==2.1.0". `dtir-mm check-env` lists '
        'what is missing'
    )
    assert ending(monkeypatch, 'check-env', '--help') == 0


def test_ctrl_c_while_a_command_is_imported_is_one_line(monkeypatch, capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, 'import_module', interrupted)
    assert ending(monkeypatch, 'restore', 'a.png') == 130
    assert capsys.readouterr().err == 'restore: interrupted\n'


def test_configs_are_listed_by_pattern(monkeypatch, capsys):
    assert ending(monkeypatch, 'configs', 'setting_b/*_joint_*') is None
    *names, last = capsys.readouterr().out.splitlines()
    assert names == [
        f'setting_b/{net}_joint_b16-1m' for net in ('dtir-unet', 'nafnet-w64', 'xrestormer')
    ]
    assert last.startswith('3 of ')
    assert ending(monkeypatch, 'configs', 'setting_b/dtir-unet_jiont_b16-1m') == (
        "configs: no name has 'setting_b/dtir-unet_jiont_b16-1m'; nearest: "
        'setting_b/dtir-unet_joint_b16-1m'
    )
