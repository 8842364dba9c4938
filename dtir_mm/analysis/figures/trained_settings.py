"""Whether runs differ in more settings of training than the one that a figure compares."""

from collections.abc import Mapping, Sequence
from typing import Any

from dtir_mm.engine.config_differences import differences
from dtir_mm.names import listed

# Settings that affect the result of training, with all below them,
_TRAINED = (
    'model', 'optim_wrapper', 'param_scheduler', 'train_cfg.max_iters', 'train_dataloader.dataset',
    'default_hooks', 'custom_hooks', 'load_from', 'global_batch_size', 'precision',
)  # fmt: skip
# except for these.
_FREE = (
    'model.step.micro_batch_size', 'model.tile', 'model.tile_overlap', 'model.ensemble',
    'model.backbone.checkpoint_activations', 'default_hooks.checkpoint', 'default_hooks.logger',
)  # fmt: skip


def other_differences(key: str, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each config that differs from the first one in more than ``key``.

    Seeds, and settings that do not affect training, may differ.

    Args:
        key: of the setting that is compared.
        configs: by the name of their run.
    """
    lines = []
    names = list(configs)
    for name in names[1:]:
        found = [
            str(difference)
            for difference in differences(configs[names[0]], configs[name])
            if _is_in(difference.key, _TRAINED) and not _is_in(difference.key, (*_FREE, key))
        ]
        if found:
            lines.append(f'{name} differs from {names[0]} in more than {key}: {listed(found)}')
    return lines


def _is_in(key: str, parts: Sequence[str]) -> bool:
    """Whether a key is one of some parts of a config, or lies in one."""
    return any(f'{key}.'.startswith(f'{part}.') for part in parts)
