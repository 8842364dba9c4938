"""The section of docs/evidence.md on why a part does much or little."""

import numpy as np

from dtir_mm.analysis.markdown import table
from evidence.arms import ARMS, GRADIENTS
from evidence.evaluation import Results
from evidence.gradients import CONTENT, GENERATIVE
from evidence.tables import EMPTY, decimals

TERMS = {GENERATIVE: 'L_g', 'importance': 'L_reg', 'orthogonality': 'L_orthog'}
_BY_BLOCK = ('preprint', 'mixing', 'released_added')
_TEXT = """\
## Why a part does much or little

Measured at the last weights of a run with seed 0, over {batches} batches. For each term: the norm
of its gradient relative to that of the content loss, as the median over the network's blocks (and
the range), and in brackets the share of the updates that have the term, and the cosine between
both gradients; a negative cosine means that the term opposes the content loss. The generative
gradient is as it was added, after decay and cap. Distance: of the weights from the pre-trained
ones, relative to the norm of these."""
_READING = """\
**L_reg** is inert by size at lambda 0.02: at most a hundredth of the content gradient in any block.
At 0.2 it is at most a seventh (more on the plateau, where the content gradient is small), but
always pulls the same way, and keeps the weights at half to two thirds of the distance that they
have with mixing: on unseen data, staying closer to the pre-trained weights costs 0.35 dB on rain
and gains 0.2 dB in low light. **L_g** is not small on rain, up to .7 of the content gradient in the
stem and the last decoder, and at right angles to it: Adam normalises the sum of both, so that the
content loss has a smaller part of each update. The cap brings it to a tenth, yet the cost on source
data is as before (1.1 dB); in low light, where there is little to cap, mixing with the cap has 0.9
dB more on unseen and 0.9 dB less on source data than without; why, we do not know. **Layer-wise
decay** as printed (Eq. 10) multiplies L_g by exp(-0.05 t) in all layers alike, .67 on rain, which
changes little, and .15 in low light, where this L_g is small anyway. **L_orthog** is present in one
update of eight, capped at a tenth of the norm of the whole content gradient, and opposes the
content loss on rain."""


def reasons(results: Results) -> str:
    """Sizes of the gradients by term, what follows from them, and by block for three arms."""
    rows, blocks = [], []
    for study in GRADIENTS.values():
        for task in study.tasks:
            if (key := f'{study.name}_{task}_s0') not in results:
                continue
            found = results[key]['gradients']
            label = ARMS[study.arm].label
            cells = [_term(found, name) for name in TERMS]
            rows.append([label, task, f'{100 * found["drift_of_all"]:.0f} %', *cells])
            if study.arm in _BY_BLOCK:
                blocks += _by_block(found, label, task)
    if not rows:
        return ''
    parts = [_TEXT.format(batches=next(iter(GRADIENTS.values())).batches)]
    parts.append(table(['arm', 'task', 'distance', *TERMS.values()], rows))
    parts.append(_READING)
    if blocks:
        names = next(r['gradients']['blocks'] for r in results.values() if 'gradients' in r)
        parts += ['By block, from the input to the output:', table(['', *names], blocks)]
    return '\n\n'.join(parts)


def _term(found: dict, name: str) -> str:
    """Such as ".04 (.01 to .30) [10 %, -.04]"."""
    if name not in found['norms']:
        return EMPTY
    shares = relative(found, name)
    low, middle, high = (decimals(f(shares)) for f in (np.min, np.median, np.max))
    updates, cosine = found['updates'][name], found['cosines'][name]
    return f'{middle} ({low} to {high}) [{100 * updates:.0f} %, {decimals(cosine)}]'


def relative(found: dict, name: str) -> np.ndarray:
    """The norms (blocks,) of a term's gradient relative to those of the content loss."""
    content = np.array(found['norms'][CONTENT])
    return np.array(found['norms'][name]) / np.where(content > 0, content, np.nan)


def _by_block(found: dict, label: str, task: str) -> list[list[str]]:
    return [
        [f'{label}, {task}: {shown}', *(decimals(share) for share in relative(found, name))]
        for name, shown in TERMS.items()
        if name in found['norms']
    ]
