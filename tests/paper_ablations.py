"""The config keys that the paper's ablations change, and those that its sweeps vary.

A test compares this table with ``configs/ablations/*_wo-<row>_*.py`` (Tables 6 to 9 by task, and
Table 10) and ``configs/mini/ablations/``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ablation:
    """A row of Tables 6 to 10.

    Args:
        label: the row's name in the paper.
        keys: config keys that it changes, including all below them.
        reading: our interpretation of the row (docs/method.md).
    """

    label: str
    keys: tuple[str, ...]
    reading: str


ABLATIONS: dict[str, Ablation] = {
    'tmgp': Ablation(
        'w/o TMGP',
        ('load_from', 'model.step.regularizers.importance.form'),
        'random weights, the same fine-tuning; there is no importance for L_reg then',
    ),
    't_mat': Ablation('w/o t^mat', ('model.timesteps',), 't = 1 for every degradation'),
    'w_decay': Ablation(
        'w/o w_decay', ('default_hooks.layer_wise_decay',), 'no gate, no decay of lambda'
    ),
    'gef': Ablation(
        'w/o GEF',
        ('model.passes', 'model.step'),
        'the pre-trained generator restores by SDEdit from t_mat; plain fine-tuning cannot be '
        'meant, since the results are far below it',
    ),
    'l_reg': Ablation(
        'w/o L_reg', ('model.step.regularizers.importance.form',), 'no importance penalty'
    ),
    'l_orthog': Ablation(
        'w/o L_orthog', ('model.step.regularizers.orthogonality',), 'no orthogonality'
    ),
}

# The further rows of Table 10, for many tasks.
UNIFIED_ABLATIONS: dict[str, Ablation] = {
    **ABLATIONS,
    'gef': Ablation(
        'w/o GEF', (*ABLATIONS['gef'].keys, 'model.backbone.adapters'), ABLATIONS['gef'].reading
    ),
    'tit': Ablation(
        'w/o TIT',
        (
            'default_hooks.incremental_tasks.data',
            'default_hooks.importance.n_batches',
            'param_scheduler',
        ),
        'all tasks together for as many updates; a single stage has one schedule and no hand-over',
    ),
    'moe': Ablation('w/o MoE', ('model.backbone.adapters',), 'no adapters; FiLM stays'),
}

# Figure or question: (config key, values), for one task. A dict sets the keys below.
SWEEPS: dict[str, tuple[str, tuple[Any, ...]]] = {
    'Figure 3b, 3d: time step': (
        'model.timesteps',
        tuple(f'fixed:{t}' for t in (1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50)),
    ),
    'Figure 3c: share of layers trained generatively': (
        'default_hooks.layer_wise_decay',
        tuple({'gate': 'cut', 'fraction': share} for share in (0.0, 0.25, 0.5, 0.75, 1.0)),
    ),
    'Figure 4: share of generative samples': (
        'model.step.mixing.ratio',
        (0.0, 0.05, 0.1, 0.2, 0.4),
    ),
    'Figure 8: lambda': ('model.step.regularizers.importance.weight', (0.05, 0.1, 0.2, 0.5, 1.0)),
    'Figure 8: a': ('default_hooks.layer_wise_decay.rate', (0.01, 0.02, 0.05, 0.1, 0.2)),
}

# The same for many tasks.
UNIFIED_SWEEPS: dict[str, tuple[str, tuple[Any, ...]]] = {
    'Figure 8: N_E': ('model.backbone.adapters.num_experts', (1, 5, 10, 20)),
    'order of the tasks': ('default_hooks.incremental_tasks.order', ('asc', 'desc', 'random')),
}


def changed_keys(config: Mapping[str, Any], base: Mapping[str, Any]) -> set[str]:
    """Dotted keys that differ between two resolved configs."""
    changed = set()
    for key in config.keys() | base.keys():
        if key not in config or key not in base:
            changed.add(key)
        elif isinstance(config[key], Mapping) and isinstance(base[key], Mapping):
            changed |= {f'{key}.{below}' for below in changed_keys(config[key], base[key])}
        elif config[key] != base[key]:
            changed.add(key)
    return changed
