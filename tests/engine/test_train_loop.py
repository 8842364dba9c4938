"""What a training loop is not built with."""

import pytest

from dtir_mm.engine.train_loop import IterationTrainLoop


@pytest.mark.parametrize(
    ('values', 'said'),
    [
        ((0, 1), 'train_cfg.max_iters=0 must be at least 1'),
        ((-1, 1), 'train_cfg.max_iters=-1 must be at least 1'),
        ((2, 0), 'train_cfg.val_interval=0 must be at least 1'),
    ],
)
def test_it_trains_and_validates_at_least_once(values, said):
    with pytest.raises(ValueError, match=f'^{said}'):
        IterationTrainLoop(None, {}, *values)
