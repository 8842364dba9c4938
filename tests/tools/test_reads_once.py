"""Each tool reads each checkpoint once."""

import shutil
from collections import Counter

import pytest
import torch


@pytest.fixture
def reads(monkeypatch) -> Counter:
    """The number of reads of each file."""
    counts, load = Counter(), torch.load

    def counting(file, **settings):
        counts[file.name] += 1
        return load(file, **settings)

    monkeypatch.setattr(torch, 'load', counting)
    return counts


def test_tools_read_a_checkpoint_once(toy, run_tool, reads, tmp_path):
    image, small = toy.photos / '0.png', ('--num-images', 8, '--size', 16)
    matching = (tmp_path / 't.json', '--photos', toy.photos, '--tasks', 'rainy', *small)
    finetuned, pretrained = ({str(run / 'iter_2.pth'): 1} for run in (toy.finetune, toy.pretrain))
    for name, expected, arguments in (
        ('restore', finetuned, (toy.finetune, image, tmp_path / 'a.png')),
        ('deploy', finetuned, (toy.finetune, tmp_path / 'net', '--task', 'rainy')),
        ('match_timesteps', pretrained, (toy.pretrain, *matching)),
        ('accumulate_importance', pretrained, (toy.pretrain, tmp_path / 'b.pth', '--batches', 1)),
    ):
        reads.clear()
        run_tool(name, *arguments)
        assert reads == expected, name


def test_resuming_and_testing_read_a_checkpoint_once(toy, run_tool, reads, tmp_path):
    shutil.copytree(toy.pretrain, tmp_path / 'run')
    config = toy.config.with_name('pretrain.py')
    run_tool('train', config, '--work-dir', tmp_path / 'run', '--resume')
    assert reads == {str(tmp_path / 'run' / 'iter_2.pth'): 1}
    reads.clear()
    run_tool('test', toy.config, toy.finetune, '--work-dir', tmp_path / 'test')
    assert reads == {str(toy.finetune / 'iter_2.pth'): 1}


def test_restoring_reads_a_public_file_once(toy, run_tool, reads, tmp_path):
    from dtir_mm.registry import MODELS

    settings = dict(width=8, middle_blk_num=1, enc_blk_nums=[1], dec_blk_nums=[1])
    network = MODELS.get('spandrel.NAFNet').network(**settings)
    torch.save(network.state_dict(), tmp_path / 'nafnet.pth')
    run_tool('restore', tmp_path / 'nafnet.pth', toy.photos / '0.png', tmp_path / 'a.png')
    assert reads == {str(tmp_path / 'nafnet.pth'): 1}
