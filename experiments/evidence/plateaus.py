"""The section of docs/evidence.md on when training leaves its plateau."""

from collections.abc import Sequence

import numpy as np

from dtir_mm.analysis.markdown import table
from evidence.arms import ARMS
from evidence.correlation import rank_correlation
from evidence.curves import left_plateau_at
from evidence.evaluation import Results, figures, runs_of
from evidence.hypotheses import SOURCE, TARGET
from evidence.tables import decimals

TASK = 'rainy'
_SHOWN = (
    'masked', 'scratch', 'naive', 'without_mixing', 'reg_weak', 'practical', 'mixing_capped',
    'mixing', 'mixing_decay', 'mixing_orthog', 'mixing_40', 'reg',
)  # fmt: skip  # with the same losses, so that their curves can be compared
_TEXT = """\
## When training leaves the plateau

On rain, training first stalls where the network returns its input. The table shows at which of
{updates} updates each seed has left this plateau, that is, when its content loss stays 5 % below
that of the input; a run with "never" may end between these 5 % and the 2 % of "Loss curves", which
count as past the plateau. Over these {count} runs, the rank correlation of this update with the
PSNR is {source} on source and {unseen} on unseen data (runs that never leave it count as last). A
term that adds to the gradient, without pointing where the content loss falls, keeps the network
there for longer, which goes with what it costs."""


def plateaus(results: Results) -> str:
    """By arm, the updates at which its runs on rain leave the plateau, and what becomes of them."""
    rows, left, all_psnr = [], [], {SOURCE: [], TARGET: []}
    for name in _SHOWN:
        found = runs_of(results, name, TASK)
        if not found:
            continue
        updates = [left_plateau_at(result['curve']) for result in found.values()]
        left += [update or ARMS[name].updates + 1 for update in updates]
        means = {
            domain: [psnr.mean() for psnr in figures(results, name, TASK, domain).values()]
            for domain in all_psnr
        }
        for domain, values in means.items():
            all_psnr[domain] += values
        rows.append(
            [
                ARMS[name].label,
                ', '.join(str(update or 'never') for update in updates),
                *(decimals(np.mean(values)) for values in means.values()),
            ]
        )
    if not rows:
        return ''
    text = _TEXT.format(
        updates=ARMS[_SHOWN[0]].updates,
        count=len(left),
        source=_correlation(left, all_psnr[SOURCE]),
        unseen=_correlation(left, all_psnr[TARGET]),
    )
    return text + '\n\n' + table([TASK, 'left the plateau at', 'source, dB', 'unseen, dB'], rows)


def _correlation(left: Sequence[float], psnr: Sequence[float]) -> str:
    return decimals(float(rank_correlation(np.array(left), np.array(psnr))))
