"""The most faithful and most expensive criterion of t_mat: fine-tune at each step (Fig. 3b)."""

from collections.abc import Callable

import torch
from torch import Tensor

from dtir_mm.diffusion.timestep_errors import ErrorsAt, changed_pairs
from dtir_mm.models.restorers.restorer import Restorer

_BATCH = 8
_LEARNING_RATE = 5e-4


def probe_train(
    load: Callable[[], Restorer],
    degraded: Tensor,
    clean: Tensor,
    iterations: int,
    seed: int,
    progress: Callable[[int, int], None],
) -> ErrorsAt:
    """Errors after fine-tuning the restorer on every second pair, on the others.

    Args:
        load: loads the pre-trained restorer anew.
        degraded: images (N, 3, H, W) in the restorer's range.
        clean: their ground truths.
        iterations: updates of Adam at each step, L1 only.
        seed: of the batches.
        progress: called with (t, iterations done).

    Returns:
        ``errors_at(t)``: L1 to the ground truth relative to that of the input, (N // 2,), one value
        a held-out pair.

    Raises:
        ValueError: fewer than four pairs differ.
    """
    degraded, clean = changed_pairs(degraded, clean)
    train, held_out = slice(0, None, 2), slice(1, None, 2)

    def errors_at(t: int) -> Tensor:
        restorer = load().train()
        optimizer = torch.optim.Adam(restorer.parameters(), _LEARNING_RATE, betas=(0.9, 0.99))
        rng = torch.Generator().manual_seed(seed)
        with torch.enable_grad():
            for done in range(1, iterations + 1):
                batch = torch.randint(len(degraded[train]), (_BATCH,), generator=rng)
                loss = _l1(restorer, degraded[train][batch], clean[train][batch], t).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                progress(t, done)
        with torch.no_grad():
            error = _l1(restorer.eval(), degraded[held_out], clean[held_out], t)
        return (error / (degraded - clean)[held_out].abs().mean((1, 2, 3))).cpu()

    return errors_at


def _l1(restorer: Restorer, degraded: Tensor, clean: Tensor, t: int) -> Tensor:
    steps = torch.full((len(degraded),), t, device=degraded.device)
    return (restorer(degraded, steps) - clean).abs().mean((1, 2, 3))
