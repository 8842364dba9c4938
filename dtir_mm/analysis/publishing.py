"""Publishes results on a page if they can be reproduced."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dtir_mm.analysis.ablations import changed_keys
from dtir_mm.analysis.recipe import parse_name
from dtir_mm.analysis.results_page import Origin, blocks_of, fill_page, require_on_page
from dtir_mm.analysis.summary import git_commit
from dtir_mm.engine.checkpoint import Checkpoint, config_to_json
from dtir_mm.files import write_text
from dtir_mm.models.objectives import GENERATIVE

PAGE = 'README.md'
# Config keys that affect the result of training, including all below them,
_TRAINED: tuple[str, ...] = (
    'model',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg.max_iters',
    'train_dataloader.dataset',
    'default_hooks',
    'custom_hooks',
)
# except for these.
_FREE = (
    'model.step.micro_batch_size',
    'model.tile',
    'model.tile_overlap',
    'model.ensemble',
    'model.backbone.checkpoint_activations',
    'default_hooks.checkpoint',
    'default_hooks.logger',
)


@dataclass(frozen=True)
class Publication:
    """A page, and the origin of the results to publish on it."""

    page: Path
    origin: Origin

    def write(self, means: list[dict[str, Any]], method: str, replace: bool) -> None:
        """Fills in the page; see ``fill_page`` for errors."""
        text = self.page.read_text(encoding='utf-8')
        write_text(self.page, fill_page(text, means, method, self.origin, replace))


def prepare_publication(
    path: Path, config: Mapping[str, Any], checkpoint: Checkpoint, protocol: str
) -> Publication:
    """Checks the origin of results before they are measured.

    Args:
        path: file of the config.
        config: the resolved config.
        checkpoint: the checkpoint to test.
        protocol: of the test.

    Raises:
        ValueError: no page has a cell for this config and protocol; the code has uncommitted
            changes (except in pages); or the checkpoint is not from a complete run of this config.
    """
    page = _page_of(path)
    require_on_page(blocks_of(page.read_text(encoding='utf-8')), path.stem, protocol)
    commit = git_commit(besides=page.parents[1].glob(f'*/{PAGE}'))
    if commit is None or commit.endswith('-dirty'):
        raise ValueError(
            f'published figures name the commit of the code, but this code is '
            f'{"in no commit" if commit is None else "changed since " + commit[:12]}: commit first'
        )
    require_trained_by(config, checkpoint, path.stem)
    plain = config_to_json(dict(config))
    weights = b''.join(
        value.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        for value in checkpoint.weights.values()
    )
    hashes = _hash(plain.encode()), _hash(weights)
    return Publication(
        page, Origin(path.stem, checkpoint.meta.seed or 0, commit, protocol, *hashes)
    )


def require_trained_by(config: Mapping[str, Any], checkpoint: Checkpoint, stem: str) -> None:
    """Raises ValueError unless a checkpoint is from a complete run of a config, called ``stem``.

    A config that tests without training (``passes="sdedit"``) needs a checkpoint from pre-training
    of the same network.
    """
    config = json.loads(config_to_json(dict(config)))
    trained, meta = checkpoint.config, checkpoint.meta
    keys: tuple[str, ...] = _TRAINED
    name = parse_name(stem)
    if config['model'].get('passes') == 'sdedit':
        if meta.objective not in GENERATIVE:
            raise ValueError(
                f'{stem} tests a checkpoint from pre-training, not one from a run that minimised '
                f'{meta.objective}'
            )
        keys, name = ('model.backbone',), None
    changed = sorted(
        key
        for key in changed_keys(config, trained)
        if any(_is_below(key, known) for known in keys)
        and not any(_is_below(key, free) for free in _FREE)
    )
    if changed:
        raise ValueError(
            f'the checkpoint was trained by another config than {stem}: {", ".join(changed)} differ'
        )
    if name is None:
        return
    if (meta.global_batch, meta.iter) != name:
        raise ValueError(
            f'the checkpoint has {meta.iter} updates of {meta.global_batch} samples over '
            f'all processes; {stem} means {name.updates} of {name.batch_size}'
        )


def _page_of(path: Path) -> Path:
    """The nearest page with a results table: in a config's folder, or the one above."""
    for folder in path.resolve().parents[:2]:
        page = folder / PAGE
        if page.is_file() and blocks_of(page.read_text(encoding='utf-8')):
            return page
    raise ValueError(f'there is no {PAGE} with a table of results beside {path} or one folder up')


def _is_below(key: str, above: str) -> bool:
    return key == above or key.startswith(f'{above}.')


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
