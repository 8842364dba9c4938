"""The samples of an update are shared among processes, and forwarded in micro-batches."""

import pytest
import torch
from mmengine.config import Config

from dtir_mm.engine.batch_size import process_batch_size
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.registry import RUNNERS


@pytest.mark.parametrize(
    ('total', 'each', 'processes', 'size'),
    [(16, None, 1, 16), (16, None, 8, 2), (None, 4, 8, 4)],
)
def test_samples_of_a_process(total, each, processes, size):
    config = {'global_batch_size': total, 'train_dataloader': {'batch_size': each}}
    assert process_batch_size(config, processes) == size


@pytest.mark.parametrize(('total', 'processes'), [(16, 3), (4, 8), (0, 1)])
def test_processes_that_do_not_divide_the_batch_are_refused(total, processes):
    config = {'global_batch_size': total, 'train_dataloader': {}}
    said = f'global_batch_size={total} must be a positive multiple of the {processes} processes'
    with pytest.raises(ValueError, match=said):
        process_batch_size(config, processes)


def test_a_missing_batch_size_is_named():
    with pytest.raises(ValueError, match='no global_batch_size'):
        process_batch_size({'train_dataloader': {}}, 1)


def test_a_micro_batch_of_the_whole_batch_changes_no_bit(toy_config, tmp_path):
    """So that one config fits any number of processes; smaller parts round otherwise."""
    more = '\nglobal_batch_size = 4\ntrain_dataloader.pop("batch_size")\n'
    more += 'train_dataloader.update(num_workers=0)\n'
    more += 'train_cfg = dict(max_iters=2)\nval_cfg = val_dataloader = val_evaluator = None\n'
    more += "model['step'].update(micro_batch_size={})\ndefault_hooks.update(importance=None)\n"
    weights = []
    for micro in (None, 4, 2, None):
        path = toy_config('finetune', more.format(micro))
        config = Config.fromfile(path)
        config.update(work_dir=str(tmp_path / f'{len(weights)}'), experiment_name=f'{len(weights)}')
        torch.manual_seed(0)
        RUNNERS.build(config).train()
        checkpoint = load_checkpoint(tmp_path / f'{len(weights)}')
        assert checkpoint.meta.global_batch == 4
        assert checkpoint.config['global_batch_size'] == 4
        weights.append(torch.cat([w.flatten() for w in checkpoint.weights.values()]))
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[0], weights[3])
    assert not torch.equal(weights[0], weights[2])
    torch.testing.assert_close(weights[2], weights[0], rtol=0, atol=2e-5)
