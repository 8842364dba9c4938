"""The dearest and most faithful criterion of t_mat: fine-tune shortly at each step (Fig. 3b)."""

from collections.abc import Callable

import torch
from torch import Tensor

from dtir_mm.diffusion.timestep_errors import ErrorsAt, changed_pairs
from dtir_mm.models.restorers.base_restorer import BaseRestorer

_BATCH = 8
_LEARNING_RATE = 5e-4


def probe_train(
    load: Callable[..., BaseRestorer],
    degraded: Tensor,
    clean: Tensor,
    iterations: int,
    seed: int,
    progress: Callable[[int, int], None],
) -> ErrorsAt:
    """Errors after fine-tuning the restorer on every second pair, on the others.

    Args:
        load: loads the pre-trained restorer anew, with other keys of its ``model``.
        degraded: images (N, 3, H, W) in [-1, 1].
        clean: their truths.
        iterations: updates of Adam at each step, L1 only.
        seed: of the batches.
        progress: called with (t, iterations done).

    Returns:
        ``errors_at(t)``: L1 to the truth relative to that of the input, one value a held-out pair.

    Raises:
        ValueError: fewer than four pairs differ.
    """
    degraded, clean = changed_pairs(degraded, clean)
    train, held_out = slice(0, None, 2), slice(1, None, 2)

    def errors_at(t: int) -> Tensor:
        restorer = load(type='FinetuneRestorer', mix_ratio=0.0).train()
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


def _l1(restorer: BaseRestorer, degraded: Tensor, clean: Tensor, t: int) -> Tensor:
    steps = torch.full((len(degraded),), t, device=degraded.device)
    return (restorer(degraded, steps) - clean).abs().mean((1, 2, 3))
