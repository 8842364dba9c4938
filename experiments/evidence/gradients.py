"""How large each term of the update is in each block, at the last weights of a run.

This tells a term that is too small to matter from one that is confined, or that is overruled.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.models.gradients import flatten
from dtir_mm.models.regularizers.regularizer import Regularizer, Update
from dtir_mm.models.restorers.blocks import Blocks

CONTENT, GENERATIVE = 'content', 'generative'
_DIGITS = 5


class RecordedTerm:
    """A regularizer that keeps the gradient (P,) that it added last, if it was due."""

    def __init__(self, term: Regularizer) -> None:
        self.term = term
        self.num_groups = term.num_groups
        self.second_order = term.second_order
        self.last: Tensor | None = None

    def is_due(self, update: Update) -> bool:
        """See ``Regularizer``."""
        self.last = None
        return self.term.is_due(update)

    def gradient(self, update: Update) -> Tensor:
        """See ``Regularizer``."""
        added = self.term.gradient(update)
        self.last = added.clone()
        return added


class GradientSizesHook(Hook):
    """Measures instead of training: loads the weights of a run, and ends before the first update.

    It comes after all other hooks have prepared the training, so that importance, its anchor and
    the layer-wise decay are those of the run.

    Args:
        weights: folder of the run.
        batches: number of batches of the training data.
    """

    priority = 'LOWEST'

    def __init__(self, weights: str, batches: int) -> None:
        self.weights = Path(weights)
        self.batches = batches
        self.measured: dict[str, Any] = {}

    def before_train(self, runner: Any) -> None:
        """Measures; ``measured`` is that of ``gradient_sizes``."""
        restorer, loader = runner.restorer, runner.train_dataloader
        anchor = flatten(restorer.trained_parameters())
        load_checkpoint(self.weights).load_into(restorer)
        restorer.train()
        loader.sampler.start_iteration = 0
        batches = itertools.islice(loader, self.batches)
        self.measured = gradient_sizes(
            restorer, anchor, [restorer.data_preprocessor(b, training=True) for b in batches]
        )
        runner.train_loop.stop_training = True


def gradient_sizes(restorer: Any, anchor: Tensor, batches: Sequence[dict]) -> dict[str, Any]:
    """Norms of the gradients that are added up to an update, by block.

    Args:
        restorer: with its training step, whose regularizers are recorded from here on.
        anchor: the weights (P,) that the run started from.
        batches: preprocessed.

    Returns:
        ``blocks``, their names; ``norms``, by term, the root mean square over the updates that have
        the term, by block; ``cosines`` of each term with the gradient of the content loss, means
        over these updates; ``updates``, the share that has the term; ``drift``, the distance from
        the anchor relative to the anchor's norm, by block, and ``drift_of_all``.
    """
    step = restorer.step
    step.regularizers = {name: RecordedTerm(term) for name, term in step.regularizers.items()}
    content: list[Tensor] = []
    step.observers.append(lambda update: content.append(update.main.clone()))
    blocks = Blocks(restorer)
    squares: dict[str, list[Tensor]] = defaultdict(list)
    cosines: dict[str, list[Tensor]] = defaultdict(list)
    for batch in batches:
        total, _ = step.gradient(restorer, batch)
        main = content.pop()
        parts = {n: t.last for n, t in step.regularizers.items() if t.last is not None}
        # What remains is the generative gradient, decayed and capped as it was added.
        rest = total - main - sum(parts.values())
        if rest.norm() > 1e-5 * main.norm():
            parts[GENERATIVE] = rest
        for name, part in {CONTENT: main, **parts}.items():
            squares[name].append(blocks.squared_norms(part))
            cosines[name].append(torch.cosine_similarity(part, main, dim=0))
    delta = flatten(restorer.trained_parameters()) - anchor
    shares = (blocks.squared_norms(delta) / blocks.squared_norms(anchor)).sqrt()
    return {
        'blocks': blocks.names,
        'norms': {n: _rounded(torch.stack(s).mean(0).sqrt()) for n, s in squares.items()},
        'cosines': {n: round(float(torch.stack(c).mean()), 3) for n, c in cosines.items()},
        'updates': {n: round(len(s) / len(batches), 3) for n, s in squares.items()},
        'drift': _rounded(shares),
        'drift_of_all': round(float(delta.norm() / anchor.norm()), 4),
    }


def _rounded(values: Tensor) -> list[float]:
    return [float(f'{value:.{_DIGITS}g}') for value in values.tolist()]
