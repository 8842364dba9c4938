"""What the command-line tools share."""

import torch

from dtir_mm.apis.command_line import end_communication


def test_communication_is_ended_where_there_is_any(tmp_path):
    end_communication()
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/rendezvous', rank=0, world_size=1
    )
    end_communication()
    assert not torch.distributed.is_initialized()
