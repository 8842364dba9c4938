"""Preset `best`: reconstruction alone, from pre-trained weights (`load_from`) or from random ones.

What helped in docs/evidence.md, on a small network, and nothing else: L1 with the FFT term (on
rain, H11), from the preprint's pre-training rather than the released one (H12), without
generative samples, layer-wise decay, L_reg and L_orthog (H3 to H6). It is the arm `naive` (from
random weights: `scratch`), and rests on its results and those of `mixing*`, `practical`,
`preprint`, `released` and `without_*` in experiments/evidence/results.
"""

_base_ = '../paper/finetune.py'
model = dict(
    step=dict(
        objective=dict(losses=dict(fft=dict(type='FFTLoss', weight=0.1))),
        mixing=dict(ratio=0.0, cap=0.1),  # none; the cap is for those who set a ratio
        regularizers=dict(importance=None, orthogonality=None),
    )
)
default_hooks = dict(importance=None, layer_wise_decay=None)
