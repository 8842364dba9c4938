"""The table that docs/evidence.md opens with: what to do in which situation, and what it gained."""

from dataclasses import dataclass

from dtir_mm.analysis.markdown import table
from evidence.evaluation import Results, differences, pooled
from evidence.studies import TASKS
from evidence.tables import DOMAINS, EMPTY, interval


@dataclass(frozen=True)
class Recommendation:
    """What to do instead of something else.

    Args:
        situation: of the reader.
        advice: what to do.
        instead_of: what it is compared with.
        arm: that follows the advice.
        base: that does the other.
        tasks: over which the difference is averaged.
    """

    situation: str
    advice: str
    instead_of: str
    arm: str
    base: str
    tasks: tuple[str, ...]


_CAPTION = """\
What the second column gains over the third, in PSNR. All but `paper` are trained with L1 and the
FFT term. "Source" is the severity of training, "unseen" another, "composite" that of training
with JPEG compression on top; test photographs were never trained on."""
_SHORT, _LONG = 'from scratch, 1500 updates', 'from scratch, 3500 updates'
_NAIVE = 'pre-training (2000), naive fine-tuning (1500)'

RECOMMENDATIONS = (
    Recommendation('average of the four tasks', _LONG, _NAIVE, 'scratch_long', 'naive', TASKS),
    Recommendation('rain', _LONG, _NAIVE, 'scratch_long', 'naive', ('rainy',)),
    Recommendation('haze', _NAIVE, _LONG, 'naive', 'scratch_long', ('hazy',)),
    Recommendation('haze', _NAIVE, _SHORT, 'naive', 'scratch', ('hazy',)),
    Recommendation('low light', 'head of `released`, ' + _LONG, _LONG, 'scratch_ve_long',
                   'scratch_long', ('low_light',)),
    Recommendation('low light, pre-trained weights', 'naive fine-tuning at t = 8',
                   'at t = 38 (Table 4)', 'naive_t8', 'naive', ('low_light',)),
    Recommendation('noise of another strength than in training', '`RandomStrength`, ' + _SHORT,
                   _SHORT, 'strengths', 'scratch', ('noisy',)),
    Recommendation('pre-trained weights at hand, rain', 'naive fine-tuning, 1500 updates', _SHORT,
                   'naive', 'scratch', ('rainy',)),
    Recommendation('pre-trained weights at hand, noise', 'naive fine-tuning, 1500 updates', _SHORT,
                   'naive', 'scratch', ('noisy',)),
    Recommendation('the two versions, noise', '`paper`', '`released`', 'preprint', 'released',
                   ('noisy',)),
    Recommendation('the two versions, low light', '`paper`', '`released`', 'preprint', 'released',
                   ('low_light',)),
    Recommendation('the two versions, rain', '`released`', '`paper`, which stays on its plateau',
                   'released', 'preprint', ('rainy',)),
    Recommendation('one network for four tasks', 'all tasks together',
                   'one after another in order of t_mat', 'joint', 'asc', TASKS),
)  # fmt: skip


def recommendations(results: Results) -> str:
    """The table, with the difference on every test set and its interval."""
    header = ['situation', 'do', 'instead of']
    header += [f'{name}, dB [95 %]' for name in DOMAINS.values()]
    rows = [_row(results, each) for each in RECOMMENDATIONS]
    return _CAPTION + '\n\n' + table([*header, 'seeds'], rows)


def _row(results: Results, each: Recommendation) -> list[str]:
    contrast = {each.arm: 1.0, each.base: -1.0}
    cells = []
    for domain in DOMAINS:
        found = {task: differences(results, contrast, task, domain) for task in each.tasks}
        counts = [len(seeds) for seeds, _ in found.values()]
        cells.append(interval(pooled(found)) if all(counts) else EMPTY)
    seeds = f'{min(counts)} to {max(counts)}' if min(counts) < max(counts) else str(counts[0])
    return [each.situation, each.advice, each.instead_of, *cells, seeds]
