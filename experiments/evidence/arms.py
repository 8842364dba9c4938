"""What is trained: pre-trainings and arms, as data.

Each is a config of this repository and a few options, as `--cfg-options` would set them, so that it
can also be trained with ``tools/train.py``. Numbers of updates, tasks and seeds were fixed before
the first counted run.
"""

from typing import Any

from evidence.studies import (
    FINETUNING,
    PAIR,
    PRETRAINING,
    UNIFIED,
    Arm,
    Gradients,
    Interpolation,
    Matching,
    Pretraining,
)

UNSEEN_BY_ALL = ('snowy', 'inpainting', 'raindrop', 'shadowed', 'blurry')
"""Degradations of the masked pre-training: no arm is fine-tuned on them, no test contains them."""

_MINI = 'configs/mini/{}_dtir-unet-w16_{}.py'
_vp_pretrain = _MINI.format('quick', 'pretrain_b8-2000')
_vp_scratch = _MINI.format('quick', 'scratch_noisy_b8-1000')
_vp_finetune = _MINI.format('quick-paper', 'finetune_noisy_b8-1000')
_ve_pretrain = _MINI.format('quick-released', 'pretrain_b8-2000')
_ve_scratch = _MINI.format('quick-released', 'scratch_noisy_b8-1000')
_ve_finetune = _MINI.format('quick-released', 'finetune_noisy_b8-1000')

_DENOISING_ONE = {
    'model.step.objective': {'_delete_': True, 'type': 'OneSigmaNoisePrediction', 'step': 8},
}
_MASKED = {
    'model.timesteps': 'paper',
    'model.step.mixing': None,
    'default_hooks.plateau': None,
    'default_hooks.balance': None,
    'model.step.objective': {'_delete_': True, 'type': 'MaskedReconstruction', 'hidden': 0.5},
}

PRETRAININGS = (
    Pretraining('vp', 'diffusion of the preprint', _vp_pretrain),
    Pretraining('ve', 'diffusion of the released code', _ve_pretrain),
    Pretraining('sigma', 'denoiser at one noise level', _vp_pretrain, _DENOISING_ONE, 3),
    Pretraining('masked', 'masked images', _vp_scratch, _MASKED, 3, UNSEEN_BY_ALL),
)

# Options that several arms share -----------------------------------------------------------------

_NO_FFT = {'model.step.objective.losses.fft': None}
_NO_MIXING = {'model.step.mixing.ratio': 0.0}
_NO_REG = {'model.step.regularizers.importance': None, 'default_hooks.importance': None}
_NO_ORTHOG = {'model.step.regularizers.orthogonality': None}
_NO_DECAY = {'default_hooks.layer_wise_decay': None}
_PREPRINT = {'model.step.mixing.cap': None, 'model.step.regularizers.importance.weight': 0.2}
_ADDED = {'model.step.mixing.added': True}
_DECAY = {
    'default_hooks.layer_wise_decay': {'type': 'LayerWiseDecayHook', 'rate': 0.05, 'gate': 'scalar'}
}
_ORTHOG = {
    'model.step.regularizers.orthogonality': {
        'type': 'GradientOrthogonality', 'groups': 1, 'interval': 1, 'grad_cap': 0.1,
    },
}  # fmt: skip
_L2SP = {'model.step.regularizers.importance.form': 'l2sp',
         'model.step.regularizers.importance.weight': 0.01}  # fmt: skip
_WIDE = {'train_dataloader.dataset.type': 'WidenedPhotosDataset'}
_STRENGTHS = {
    'train_dataloader.dataset.pipeline': [
        {'type': 'RandomPatch', 'size': 32}, {'type': 'RandomFlipTurn'},
        {'type': 'RandomStrength'}, {'type': 'PackSample'},
    ],
}  # fmt: skip

_BOTH = PRETRAINING + FINETUNING

CORE = (
    Arm('scratch', 'from scratch', _vp_scratch, seeds=None, wave=0),
    Arm('scratch_long', 'from scratch, updates of both stages', _vp_scratch, seeds=None,
        updates=_BOTH, wave=0),
    Arm('naive', 'naive fine-tuning', _vp_scratch, {}, 'vp', seeds=None, wave=0),
    Arm('released', 'recipe `released`', _ve_finetune, {}, 've', seeds=None, wave=0),
    Arm('preprint', 'recipe `paper`', _vp_finetune, _PREPRINT | _NO_FFT, 'vp', seeds=None, wave=0),
    Arm('scratch_tenth', 'from scratch, a tenth of stage 1 more', _vp_scratch,
        updates=FINETUNING + PRETRAINING // 10, wave=1),
    Arm('scratch_ve', 'from scratch, head of `released`', _ve_scratch, seeds=None, wave=1),
    Arm('scratch_ve_long', 'the same, updates of both stages', _ve_scratch, seeds=None,
        updates=_BOTH, wave=1),
    Arm('preprint_fft', '`paper` with the FFT term', _vp_finetune, _PREPRINT, 'vp', wave=1),
    Arm('practical', 'recipe `paper_practical`', _vp_finetune, {}, 'vp', wave=1),
    Arm('naive_ve', '`released` without L_reg', _ve_scratch, {}, 've', wave=1),
)  # fmt: skip

FFT = (
    Arm('scratch_l1', 'from scratch, L1 only', _vp_scratch, _NO_FFT, None, PAIR, wave=1),
    Arm('naive_l1', 'naive fine-tuning, L1 only', _vp_scratch, _NO_FFT, 'vp', PAIR, wave=1),
    Arm('released_l1', '`released`, L1 only', _ve_finetune, _NO_FFT, 've', PAIR, wave=1),
)

TERMS = (
    Arm('without_mixing', '`paper_practical` without mixing', _vp_finetune, _NO_MIXING, 'vp', PAIR),
    Arm('without_reg', 'without L_reg', _vp_finetune, _NO_REG, 'vp', PAIR),
    Arm('without_orthog', 'without L_orthog', _vp_finetune, _NO_ORTHOG, 'vp', PAIR),
    Arm('without_decay', 'without layer-wise decay', _vp_finetune, _NO_DECAY, 'vp', PAIR),
    Arm('mixing', 'naive + mixing, 10 %', _vp_scratch,
        {'model.step.mixing.ratio': 0.1, 'model.step.mixing.cap': None}, 'vp', PAIR),
    Arm('mixing_40', 'naive + mixing, 40 %', _vp_scratch,
        {'model.step.mixing.ratio': 0.4, 'model.step.mixing.cap': None}, 'vp', PAIR),
    Arm('mixing_capped', 'naive + mixing, L_g capped', _vp_scratch,
        {'model.step.mixing.ratio': 0.1}, 'vp', PAIR),
    Arm('mixing_decay', 'naive + mixing + decay', _vp_finetune,
        {'model.step.mixing.cap': None} | _NO_REG | _NO_ORTHOG, 'vp', PAIR),
    Arm('mixing_orthog', 'naive + mixing + L_orthog', _vp_finetune,
        {'model.step.mixing.cap': None} | _NO_REG | _NO_DECAY, 'vp', PAIR),
    Arm('reg', 'naive + L_reg, lambda 0.2', _vp_finetune,
        _PREPRINT | _NO_MIXING | _NO_ORTHOG | _NO_DECAY, 'vp', PAIR),
    Arm('reg_weak', 'naive + L_reg, lambda 0.02', _vp_finetune,
        _NO_MIXING | _NO_ORTHOG | _NO_DECAY, 'vp', PAIR),
    Arm('released_added', '`released` + L_g added', _ve_finetune, _ADDED, 've', PAIR),
    Arm('released_decay', '`released` + L_g added, decayed', _ve_finetune, _ADDED | _DECAY, 've',
        PAIR),
    Arm('released_orthog', '`released` + L_orthog', _ve_finetune, _ORTHOG, 've', PAIR),
    Arm('released_always', '`released`, L_reg in every update', _ve_finetune,
        {'model.step.regularizers.importance.share': 1.0}, 've', PAIR),
)  # fmt: skip

MISMATCHED_STEPS = {'rainy': 38, 'low_light': 8}
MISMATCHED = tuple(
    Arm(f'mismatched_{task}', f'`paper_practical`, {task}, mismatched t = {step}', _vp_finetune,
        {'model.timesteps': f'fixed:{step}'}, 'vp', (task,))
    for task, step in MISMATCHED_STEPS.items()
)  # fmt: skip

REMEDIES = (
    Arm('sigma', 'denoiser at one noise level, naive', _vp_scratch, {}, 'sigma', wave=2),
    Arm('masked', 'masked images, naive', _vp_scratch, {}, 'masked', wave=2),
    Arm('wide', 'from scratch, widened severities', _vp_scratch, _WIDE, wave=2),
    Arm('strengths', 'from scratch, strengths drawn anew', _vp_scratch, _STRENGTHS,
        tasks=('rainy', 'noisy'), wave=2),
    Arm('naive_wide', 'naive, widened severities', _vp_scratch, _WIDE, 'vp', PAIR, wave=4),
    Arm('l2sp', 'naive + L2-SP', _vp_finetune, _NO_MIXING | _NO_ORTHOG | _NO_DECAY | _L2SP, 'vp',
        PAIR, wave=4),
)  # fmt: skip

COUNTS: dict[str, int | None] = {'4': 4, '16': 16, '64': 64, 'all': None}
"""Photographs of which there is one pair each, by their name in that of an arm; None for all."""
_FEW = {
    'scratch': ('from scratch', _vp_scratch, None),
    'naive': ('naive', _vp_scratch, 'vp'),
    'released': ('`released`', _ve_finetune, 've'),
}
FEW_PAIRS = tuple(
    Arm(f'{name}_{count}', f'{label}, {count} pairs', base,
        {'train_dataloader.dataset.max_photos': photos, 'train_dataloader.dataset.draws': 1},
        pretraining, PAIR, wave=4)
    for count, photos in COUNTS.items()
    for name, (label, base, pretraining) in _FEW.items()
)  # fmt: skip

STEPS = (1, 4, 8, 15, 27, 38, 50)
MATCHED = {'rainy': 8, 'low_light': 38}
SWEEP = tuple(
    Arm(f'{name}_t{step}', f'{label}, t = {step}', base, {'model.timesteps': f'fixed:{step}'},
        pretraining, tuple(task for task in PAIR if MATCHED[task] != step), wave=5)
    for name, (label, base, pretraining) in _FEW.items() if pretraining
    for step in STEPS
)  # fmt: skip


def swept(method: str, task: str, step: int) -> str:
    """The arm that is fine-tuned at a time step: at that of Table 4, the arm without a suffix."""
    return method if MATCHED[task] == step else f'{method}_t{step}'


_unified = 'configs/mini/unified_dtir-unet-w16_{}.py'
_TASKS_4 = {'param_scheduler.periods': [UNIFIED] * 4, 'param_scheduler.restart_weights': [1] * 4}
_NO_EXPERTS = {'model.backbone.adapters': None}
UNIFIED_ARMS = (
    Arm('joint', 'tasks together', _unified.format('joint_b8-3k'), _NO_EXPERTS, 'vp',
        updates=4 * UNIFIED, unified=True, wave=4),
    Arm('asc', 'tasks in order of t_mat', _unified.format('b8-10x300'), _NO_EXPERTS | _TASKS_4,
        'vp', updates=4 * UNIFIED, unified=True, wave=4),
    Arm('desc', 'in the opposite order', _unified.format('b8-10x300'),
        _NO_EXPERTS | _TASKS_4 | {'default_hooks.incremental_tasks.order': 'desc'},
        'vp', updates=4 * UNIFIED, unified=True, wave=4),
    Arm('experts', 'in order of t_mat, with experts', _unified.format('b8-10x300'), _TASKS_4,
        'vp', updates=4 * UNIFIED, unified=True, wave=4),
)  # fmt: skip

ARMS = {
    arm.name: arm
    for group in (CORE, FFT, TERMS, MISMATCHED, REMEDIES, FEW_PAIRS, SWEEP, UNIFIED_ARMS)
    for arm in group
}

INTERPOLATIONS = {
    f'{arm}_wise{share:.0%}'.removesuffix('%'): Interpolation(
        f'{arm}_wise{share:.0%}'.removesuffix('%'), f'{label}, WiSE-FT {share}', arm, share
    )
    for arm, label in (('naive', 'naive'), ('released', '`released`'))
    for share in (0.5, 0.9)
}

_EXPLAINED = (
    'preprint', 'practical', 'mixing', 'mixing_orthog', 'reg', 'released', 'released_added',
    'released_always',
)  # fmt: skip
GRADIENTS = {f'{arm}_gradients': Gradients(f'{arm}_gradients', arm) for arm in _EXPLAINED}

_METHODS: dict[str, tuple[dict[str, Any], int]] = {
    'linear_probe': ({'type': 'linear_probe'}, 3),
    'score': ({'type': 'score'}, 3),
    'sdedit': ({'type': 'sdedit'}, 3),
    'trajectory': ({'type': 'trajectory'}, 3),
    'probe_train': ({'type': 'probe_train', 'iterations': 200}, 1),
}
MATCHINGS = {
    f'{method}_{pretraining}': Matching(f'{method}_{pretraining}', pretraining, config, seeds)
    for pretraining in ('vp', 've')
    for method, (config, seeds) in _METHODS.items()
    if (method, pretraining) != ('trajectory', 've')  # see NOT_RUN
}

NOT_RUN = {
    'degradation-classification pre-training (DCPT)': 'needs an objective and a decoder of its own '
    'and a third kind of pre-training; left out for the budget',
    'matching by `trajectory` in the diffusion of the released code': 'starts from pure noise, and '
    'at t = T that diffusion still has a signal-to-noise ratio of 650',
    'more than one seed of matching by `probe_train`': 'it trains 70 networks, 18 minutes for each '
    'seed and diffusion',
}
