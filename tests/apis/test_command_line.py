"""Shared parts of the command-line tools."""

from pathlib import Path

import pytest
import torch

from dtir_mm.apis.command_line import ToolParser, end_communication


def test_end_communication_with_and_without_a_process_group(tmp_path):
    end_communication()
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/rendezvous', rank=0, world_size=1
    )
    end_communication()
    assert not torch.distributed.is_initialized()


def test_empty_arguments_are_rejected(capsys, monkeypatch):
    parser = ToolParser(prog='tool.py')
    parser.add_argument('output', type=Path)
    assert parser.parse_args(['out']).output == Path('out')
    monkeypatch.setattr('sys.argv', ['tool.py', ''])
    for given in ([''], None):
        with pytest.raises(SystemExit, match='2'):
            parser.parse_args(given)
        said = capsys.readouterr().err
        assert said.startswith('tool: an argument is empty') and said.count('\n') == 1
