"""Samples per process, and micro-batches."""

import pytest
import torch
from toy_training import FAST, train

from dtir_mm.engine.batch_size import process_batch_size
from dtir_mm.engine.checkpoint import Checkpoint


@pytest.mark.parametrize(
    ('total', 'each', 'processes', 'size'),
    [(16, None, 1, 16), (16, None, 8, 2), (None, 4, 8, 4)],
)
def test_samples_per_process(total, each, processes, size):
    config = {'global_batch_size': total, 'train_dataloader': {'batch_size': each}}
    assert process_batch_size(config, processes) == size


@pytest.mark.parametrize(('total', 'processes'), [(16, 3), (4, 8), (0, 1)])
def test_processes_must_divide_the_batch(total, processes):
    config = {'global_batch_size': total, 'train_dataloader': {}}
    said = f'global_batch_size={total} must be a positive multiple of the {processes} processes'
    with pytest.raises(ValueError, match=said):
        process_batch_size(config, processes)


def test_a_missing_batch_size_is_rejected():
    with pytest.raises(ValueError, match='no global_batch_size'):
        process_batch_size({'train_dataloader': {}}, 1)


def test_a_micro_batch_of_the_whole_batch_is_bit_exact(toy_config, tmp_path):
    """So one config fits any number of processes; smaller micro-batches round differently."""
    more = FAST + 'global_batch_size = 4\ntrain_dataloader.pop("batch_size")\n'
    more += 'train_cfg = dict(max_iters=2)\n'
    more += "model['step'].update(micro_batch_size={})\ndefault_hooks.update(importance=None)\n"
    weights = []
    for micro in (None, 4, 2, None):
        path = toy_config('finetune', more.format(micro))
        checkpoint = Checkpoint.of(train(path, tmp_path / f'{len(weights)}'), 'a.pth')
        assert checkpoint.meta.global_batch == 4
        assert checkpoint.config['global_batch_size'] == 4
        weights.append(torch.cat([w.flatten() for w in checkpoint.weights.values()]))
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[0], weights[3])
    assert not torch.equal(weights[0], weights[2])
    torch.testing.assert_close(weights[2], weights[0], rtol=0, atol=2e-5)
