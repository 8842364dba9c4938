"""Numbers of the paper (arXiv 2506.21722), to be shown beside ours.

Its data, network and numbers of updates are others: compare only differences within a table.
"""

Pair = tuple[float, float]  # PSNR, SSIM

TABLES: dict[str, tuple[str, dict[str, tuple[Pair, Pair]]]] = {
    'hazy': ('Table 6: RESIDE, unseen REVIDE', {
        'w/o TMGP': ((28.95, 0.895), (15.29, 0.535)),
        'w/o t^mat': ((28.63, 0.844), (15.04, 0.513)),
        'w/o w_decay': ((28.58, 0.862), (14.82, 0.537)),
        'w/o L_reg': ((28.65, 0.844), (16.10, 0.611)),
        'w/o L_orthog': ((28.79, 0.909), (19.88, 0.742)),
        'Ours': ((29.08, 0.933), (20.74, 0.782)),
    }),
    'rainy': ('Table 7: Rain100L, unseen Rain100H', {
        'w/o TMGP': ((36.66, 0.949), (13.96, 0.563)),
        'w/o t^mat': ((36.51, 0.947), (13.84, 0.585)),
        'w/o w_decay': ((36.24, 0.916), (13.28, 0.545)),
        'w/o L_reg': ((36.49, 0.936), (12.35, 0.577)),
        'w/o L_orthog': ((36.52, 0.954), (15.62, 0.651)),
        'Ours': ((37.47, 0.971), (16.87, 0.695)),
    }),
    'low_light': ('Table 9: LOL-v1, unseen LOL-v2', {
        'w/o TMGP': ((22.98, 0.811), (21.04, 0.636)),
        'w/o t^mat': ((21.56, 0.736), (22.35, 0.781)),
        'w/o w_decay': ((21.47, 0.721), (22.07, 0.767)),
        'w/o L_reg': ((22.79, 0.784), (24.31, 0.805)),
        'w/o L_orthog': ((22.84, 0.798), (24.52, 0.827)),
        'Ours': ((23.59, 0.856), (25.67, 0.883)),
    }),
}  # fmt: skip
"""Rows of Tables 6, 7 and 9: source and unseen."""

ABLATED = {
    'w/o TMGP': 'scratch',
    'w/o t^mat': 'mismatched_{task}',
    'w/o w_decay': 'without_decay',
    'w/o L_reg': 'without_reg',
    'w/o L_orthog': 'without_orthog',
    'Ours': 'practical',
}
"""The arms that stand for these rows: ablations of ``paper_practical``."""

UNIFIED: dict[str, tuple[Pair, str]] = {
    'w/o TIT': ((27.01, 0.743), 'joint'),
    'opposite order': ((float('nan'), float('nan')), 'desc'),
    'w/o MoE': ((27.64, 0.842), 'asc'),
    'Ours': ((28.13, 0.862), 'experts'),
}
"""Rows of Table 10, as Table 3 has them, on average, and our arms."""
