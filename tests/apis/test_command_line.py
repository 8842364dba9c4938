"""What the command-line tools share."""

from pathlib import Path

import pytest
import torch

from dtir_mm.apis.command_line import ToolParser, end_communication


def test_communication_is_ended_where_there_is_any(tmp_path):
    end_communication()
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/rendezvous', rank=0, world_size=1
    )
    end_communication()
    assert not torch.distributed.is_initialized()


def test_an_empty_argument_is_not_the_current_folder(capsys, monkeypatch):
    parser = ToolParser(prog='tool.py')
    parser.add_argument('output', type=Path)
    assert parser.parse_args(['out']).output == Path('out')
    monkeypatch.setattr('sys.argv', ['tool.py', ''])
    for given in ([''], None):
        with pytest.raises(SystemExit, match='2'):
            parser.parse_args(given)
        said = capsys.readouterr().err
        assert said.startswith('tool: an argument is empty') and said.count('\n') == 1
