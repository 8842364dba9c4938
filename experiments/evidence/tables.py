"""Cells of tables of results."""

import math

import numpy as np

from evidence.evaluation import Results, figures, runs_of
from evidence.hypotheses import COMPOSITE, SOURCE, TARGET
from evidence.inference import Estimate

DOMAINS = {SOURCE: 'source', TARGET: 'unseen', COMPOSITE: 'composite'}
"""The names of the test sets on the page."""
EMPTY = '-'


def mean_of(results: Results, study: str, task: str, domain: str) -> str:
    """PSNR and SSIM over seeds and photographs, such as "29.08 ± .21 / .933".

    ± is the standard deviation over seeds.
    """
    psnr = figures(results, study, task, domain)
    if not psnr:
        return EMPTY
    ssim = figures(results, study, task, domain, 'ssim')
    means = [values.mean() for values in psnr.values()]
    spread = f' ± {decimals(np.std(means, ddof=1))}' if len(means) > 1 else ''
    similarity = np.mean([values.mean() for values in ssim.values()])
    return f'{decimals(np.mean(means))}{spread} / {decimals(similarity, 3)}'


def input_of(results: Results, task: str, domain: str) -> str:
    """PSNR and SSIM of the degraded images."""
    for result in results.values():
        if task in result.get('images', {}):
            found = result['images'][task][domain]
            psnr, ssim = (np.mean(found[f'input_{name}']) for name in ('psnr', 'ssim'))
            return f'{decimals(psnr)} / {decimals(ssim, 3)}'
    return EMPTY


def on_plateau(results: Results, study: str, task: str) -> str:
    """Such as " (5 of 5 on the plateau)", for the label of an arm; "" if no run is."""
    found = runs_of(results, study, task).values()
    ends = [result['plateau'] for result in found if 'plateau' in result]
    stuck = sum(end['left'] is False for end in ends)
    return f' ({stuck} of {len(ends)} on the plateau)' if stuck else ''


def quoted(pair: tuple[float, float]) -> str:
    """PSNR and SSIM of the paper."""
    return EMPTY if math.isnan(pair[0]) else f'{decimals(pair[0])} / {decimals(pair[1], 3)}'


def decimals(value: float, count: int = 2) -> str:
    """A number without the zero before its point, as results are written here."""
    text = f'{round(value, 9):.{count}f}'  # the last bits of a mean are not those of every machine
    if float(text) == 0:
        text = text.lstrip('-')  # no "-0.00"
    return text.replace('0.', '.', 1) if text.lstrip('-').startswith('0.') else text


def signed(value: float) -> str:
    """A difference in dB."""
    text = f'{value:+.2f}'
    return '0.00' if float(text) == 0 else text


def interval(estimate: Estimate) -> str:
    """A difference in dB with its interval, such as "+0.21 [-0.05, +0.45]"."""
    return f'{signed(estimate.mean)} [{signed(estimate.low)}, {signed(estimate.high)}]'
