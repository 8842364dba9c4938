"""Tunes classical methods on validation photographs, and measures the best on test photographs.

    pip install scikit-image PyWavelets
    python experiments/released_model/classical.py [--photos data/photos] [--out FILE]

For each of the ten tasks, every setting of every method (``classical_methods``) is tried on the
validation photographs at the source severity. The setting with the highest mean PSNR is measured on
the test photographs, at both severities. Returning the input is no method: where nothing improves
it, the figures say so. It takes about ten minutes on one core.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
import pywt
import skimage
from cases import TASKS, Case, Pair, single
from classical_methods import CANDIDATES
from figures import Figures
from record import columns, origin, write_record
from tqdm import tqdm

from dtir_mm.apis.command_line import ToolParser, one_line_errors
from dtir_mm.datasets.degradations import SEVERITIES
from dtir_mm.evaluation.metrics import psnr

_RESULTS = Path(__file__).parent / 'results'


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--photos', type=Path, default=Path('data/photos'), help='folder with val and test'
    )
    parser.add_argument('--out', type=Path, default=_RESULTS / 'classical.json')
    return parser.parse_args()


@one_line_errors('classical')
def main() -> None:
    args = parse_args()
    about = origin(np, cv2, skimage, pywt)
    figures = Figures()
    tuned, cases = {}, []
    for task in TASKS:
        tuned[task] = tune(task, single(args.photos / 'val', task, 'source'))
        best = max(tuned[task]['methods'], key=lambda method: method['psnr'])
        tuned[task]['chosen'] = best['name']
        for severity in SEVERITIES:
            case = single(args.photos / 'test', task, severity)
            cases.append(measure(case, best['name'], best['settings'], figures))
    about |= {'protocol': figures.protocol.name, 'tuned': tuned}
    write_record(args.out, about, cases)
    print(f'written: {args.out}')


def tune(task: str, case: Case) -> dict[str, Any]:
    """The best setting of each method by mean PSNR: ``{"input", "methods": [...]}``."""
    pairs = list(case.pairs())
    methods = []
    for candidate in CANDIDATES[task]:
        settings = candidate.settings()
        with tqdm(settings, f'{task}: {candidate.name}', unit='setting', leave=False) as bar:
            gained = [_mean_psnr(candidate.method, setting, pairs) for setting in bar]
        best = int(np.argmax(gained))
        methods.append(
            {'name': candidate.name, 'settings': settings[best], 'psnr': round(gained[best], 4)}
        )
    return {'input': round(fmean(psnr(p.degraded, p.clean) for p in pairs), 4), 'methods': methods}


def measure(case: Case, name: str, settings: dict[str, Any], figures: Figures) -> dict[str, Any]:
    """Figures of the input and of a tuned method, for each photograph of a case."""
    (task,) = case.tasks
    method = next(c.method for c in CANDIDATES[task] if c.name == name)
    results: dict[str, list[dict[str, float]]] = {'input': [], 'classical': []}
    photos = []
    for pair in tqdm(case.pairs(), f'{case.name}: {name}', case.count, unit='photo'):
        photos.append(pair.photo)
        results['input'].append(figures(pair.degraded, pair.clean))
        results['classical'].append(figures(method(pair.degraded, **settings), pair.clean))
        if 'grow' in settings:  # of a method that fills holes
            holes = (pair.degraded != pair.clean).any(axis=-1)
            restored = method(pair.degraded, **settings, holes=holes)
            results.setdefault('holes given', []).append(figures(restored, pair.clean))
    measured = {name: columns(rows) for name, rows in results.items()}
    return {'domain': case.domain, 'tasks': case.tasks, 'photos': photos, **measured}


def _mean_psnr(
    method: Callable[..., np.ndarray], settings: dict[str, Any], pairs: Sequence[Pair]
) -> float:
    return fmean(psnr(method(pair.degraded, **settings), pair.clean) for pair in pairs)


if __name__ == '__main__':
    main()
