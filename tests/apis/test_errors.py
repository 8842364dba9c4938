"""Errors that a user can fix are one line; others have a traceback."""

import importlib.util
import io
import os
from pathlib import Path

import cv2
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from dtir_mm.apis import errors
from dtir_mm.apis.errors import one_line_errors
from dtir_mm.engine.checkpoint import CheckpointError


def ending(function, capsys, tool='tool', **options) -> tuple[int, str]:
    """The exit status and stderr of a tool that calls a function that raises."""
    with pytest.raises(SystemExit) as leaving:
        one_line_errors(tool, **options)(function)()
    return leaving.value.code, capsys.readouterr().err


def raising(error: BaseException):
    """A function that raises, without a file, as if it were ours."""
    scope = {'error': error}
    exec(compile('def function():\n    raise error\n', '<dtir_mm>', 'exec'), scope)
    return scope['function']


@pytest.mark.parametrize(
    ('error', 'said'),
    [
        (ValueError('t=0 must lie in 1..50'), 't=0 must lie in 1..50'),
        (FileNotFoundError('no such folder: x'), 'no such folder: x'),
        (KeyError('no task has the name rainny'), 'no task has the name rainny'),
        (CheckpointError('x.pth is damaged'), 'x.pth is damaged'),
        (FloatingPointError('not finite at iteration 3'), 'not finite at iteration 3'),
        (torch.OutOfMemoryError('CUDA out of memory. Tried to'), 'CUDA out of memory. A smaller'),
        (MemoryError(), 'out of memory. A smaller'),
        (
            RuntimeError(
                "[enforce] DefaultCPUAllocator: can't allocate memory: you tried to "
                'allocate 4000 bytes. Error code 12'
            ),
            'out of memory, 4000 bytes asked for. A smaller',
        ),
        (
            cv2.error(
                'OpenCV(4) a.cpp:73: error: (-4:Insufficient memory) Failed to allocate 90 '
                "bytes in function 'OutOfMemoryError'"
            ),
            'out of memory, 90 bytes asked for. A smaller',
        ),
    ],
)
def test_user_errors_are_one_line(error, said, capsys, monkeypatch):
    monkeypatch.setattr(errors, '_NOT_THE_USERS', ('/',))  # this file is one of ours
    status, text = ending(raising(error), capsys)
    assert status == 1 and text.startswith(f'tool: {said}')
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    'error', [TypeError('3 is no string'), RuntimeError('sizes'), KeyError('meta'), ValueError()]
)
def test_unexpected_errors_have_a_traceback_and_ask_for_a_report(error, capsys, monkeypatch):
    monkeypatch.setattr(errors, '_NOT_THE_USERS', ('/',))
    status, text = ending(raising(error), capsys)
    lines = text.splitlines()
    assert status == 1 and lines[0].startswith('Traceback')
    assert lines[-1].startswith('tool: this is a fault of dtir_mm') and 'report' in lines[-1]


def test_tools_of_another_clone_are_not_user_code(tmp_path, capsys):
    (tmp_path / 'tools').mkdir()
    for name in ('tools/train.py', 'tools/own.py'):
        (tmp_path / name).write_text('def function():\n    raise ValueError("t=0 must be 1")\n')
        spec = importlib.util.spec_from_file_location('tool', tmp_path / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(
                errors, '_NOT_THE_USERS', (str(Path(__file__).parent), *errors._NOT_THE_USERS)
            )
            _, text = ending(module.function, capsys, 'train')
        assert (text == 'train: t=0 must be 1\n') == (name == 'tools/train.py')


def test_packages_of_any_environment_are_not_user_code(tmp_path, capsys):
    file = tmp_path / '.local' / 'lib' / 'site-packages' / 'package.py'
    file.parent.mkdir(parents=True)
    file.write_text('def function():\n    raise ValueError("t=0 must be 1")\n')
    scope = {}
    exec(compile(file.read_text(), str(file), 'exec'), scope)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            errors, '_NOT_THE_USERS', (str(Path(__file__).parent), *errors._NOT_THE_USERS)
        )
        assert ending(scope['function'], capsys) == (1, 'tool: t=0 must be 1\n')


def test_undecodable_names_are_printed_as_escapes(monkeypatch):
    printed = io.BytesIO()
    monkeypatch.setattr('sys.stdout', io.TextIOWrapper(printed, encoding='utf-8'))
    with one_line_errors('tool'):
        print('written: \udcff.png', flush=True)
    assert printed.getvalue() == b'written: \\udcff.png\n'


@pytest.mark.parametrize('text', ['{}', "work_dir = '{}'\nseed = 1", 'a\n"{}"'])
def test_names_that_are_not_utf_8_are_reported(text, capsys, monkeypatch):
    monkeypatch.setattr(errors, '_NOT_THE_USERS', ('/',))
    path = os.fsdecode(b'/data/caf\xe9 two/run')

    @one_line_errors('tool')
    def encode():
        text.format(path).encode()

    status, said = ending(encode, capsys)
    assert status == 1 and said.count('\n') == 1
    assert said.startswith(r'tool: /data/caf\udce9 two/run has characters that are not UTF-8')
    assert 'rename' in said


def test_user_code_keeps_its_traceback(tmp_path, capsys):
    (tmp_path / 'mine.py').write_text('def function():\n    return float("x")\n')
    spec = importlib.util.spec_from_file_location('mine', tmp_path / 'mine.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    status, text = ending(module.function, capsys)
    assert status == 1 and text.startswith('Traceback')
    assert text.splitlines()[-1] == f'tool: ValueError in your own code, {tmp_path}/mine.py, line 2'


class Broken(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise ValueError('x.png is a broken image')


def test_errors_of_worker_processes_are_one_line(capsys, monkeypatch):
    monkeypatch.setattr(errors, '_NOT_THE_USERS', ('/',))
    status, text = ending(lambda: list(DataLoader(Broken(), num_workers=1)), capsys)
    assert (status, text) == (1, 'tool: x.png is a broken image\n')


def test_an_interruption_is_one_line(capsys):
    assert ending(raising(KeyboardInterrupt()), capsys) == (130, 'tool: interrupted\n')
    said = ending(raising(KeyboardInterrupt()), capsys, interrupted='go on with --resume')
    assert said == (130, 'tool: go on with --resume\n')


def test_only_the_first_process_reports_at_once(capsys, monkeypatch):
    """The launcher ends the others, unless only they failed."""
    waited = []
    monkeypatch.setattr(errors.time, 'sleep', waited.append)
    monkeypatch.setattr(errors, '_NOT_THE_USERS', ('/',))
    monkeypatch.setenv('RANK', '0')
    assert ending(raising(ValueError('no.png')), capsys) == (1, 'tool: no.png\n')
    assert not waited
    monkeypatch.setenv('RANK', '3')
    assert ending(raising(ValueError('no.png')), capsys) == (1, 'process 3: tool: no.png\n')
    assert len(waited) == 1 and waited[0] >= 5
    assert ending(raising(KeyboardInterrupt()), capsys) == (130, '')


def test_success_prints_nothing(capsys):
    assert one_line_errors('tool')(lambda: 3)() == 3
    assert capsys.readouterr() == ('', '')
