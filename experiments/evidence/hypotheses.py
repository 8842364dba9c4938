"""What is tested: hypotheses as contrasts of arms, and the rule that decides them.

Fixed before the first counted run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from evidence.arms import COUNTS
from evidence.studies import PAIR, TASKS

SOURCE, TARGET, COMPOSITE = 'source', 'target', 'composite'

MIN_GAIN = 0.10
"""Smallest mean difference, in dB, that counts as a gain on a task."""
MAX_LOSS = 0.10
"""Loss on source, in dB, that a method may cost and still count as free."""
LEVEL = 0.05
REPLICATES = 10_000

RULE = f"""\
The difference in PSNR is paired by seed and photograph. Its 95 % interval comes from a bootstrap
that resamples seeds and photographs ({REPLICATES} replicates); a hypothesis is judged by the mean
over its tasks. SUPPORTED: the interval lies above 0, so does that of every task, the mean of each
task is at least {MIN_GAIN:.2f} dB, all seeds of each task agree in sign, and p < {LEVEL:.2f} after
Holm's correction over all hypotheses. CONTRADICTED: the interval lies below 0, and p < {LEVEL:.2f}
after the correction. INCONCLUSIVE: neither. For "costs nothing", 0 is replaced by
-{MAX_LOSS:.2f} dB, and means and seeds are only required to lie above it."""


@dataclass(frozen=True)
class Hypothesis:
    """A claim about a contrast of arms.

    Args:
        key: number and letter; parts of one hypothesis share the number.
        claim: in words, which holds if the contrast is positive (above ``floor``).
        contrast: weight of each arm's PSNR.
        tasks: over which it is averaged.
        domain: severity of the test set.
        floor: 0, or minus ``MAX_LOSS`` if the claim is that nothing is lost.
        of_task: contrasts of single tasks, instead of ``contrast``.
    """

    key: str
    claim: str
    contrast: Mapping[str, float]
    tasks: tuple[str, ...] = PAIR
    domain: str = TARGET
    floor: float = 0.0
    of_task: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def contrast_of(self, task: str) -> Mapping[str, float]:
        """The weights of the arms for a task."""
        return self.of_task.get(task, self.contrast)


def _gain(of: str, over: str) -> dict[str, float]:
    return {of: 1.0, over: -1.0}


def _difference(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    return first | {arm: first.get(arm, 0.0) - weight for arm, weight in second.items()}


def _free(key: str, claim: str, contrast: dict[str, float]) -> Hypothesis:
    return Hypothesis(key, claim, contrast, domain=SOURCE, floor=-MAX_LOSS)


_H2 = {task: _gain('practical', f'mismatched_{task}') for task in PAIR}
_MEAN_OF_FEW = {
    arm: weight
    for count in COUNTS
    for arm, weight in _gain(f'naive_{count}', f'scratch_{count}').items()
}
_INTERACTION = _difference(_gain('naive_4', 'scratch_4'), _gain('naive_all', 'scratch_all'))

HYPOTHESES = (
    Hypothesis('H1a', 'Pre-training improves unseen data, at the same fine-tuning updates',
               _gain('naive', 'scratch'), TASKS),
    Hypothesis('H1b', 'Pre-training improves unseen data, at equal total compute',
               _gain('naive', 'scratch_long'), TASKS),
    Hypothesis('H1c', 'Pre-training improves source data, at the same fine-tuning updates',
               _gain('naive', 'scratch'), TASKS, SOURCE),
    Hypothesis('H1d', 'Diffusion over all noise levels is a better pre-training than one level',
               _gain('naive', 'sigma'), TASKS),
    Hypothesis('H1e', 'Diffusion is a better pre-training than masked images',
               _gain('naive', 'masked'), TASKS),
    Hypothesis('H1f', 'Pre-training improves unseen data more than widened training severities do',
               _gain('naive', 'wide'), TASKS),
    Hypothesis('H1g', 'It improves unseen data at equal compute, pre-training shared by ten tasks',
               _gain('naive', 'scratch_tenth'), TASKS),
    Hypothesis('H2', 'A matched time step is better than a mismatched one', {}, of_task=_H2),
    Hypothesis('H3a', 'Mixing 10 % of generative samples improves unseen data',
               _gain('mixing', 'naive')),
    _free('H3b', 'Mixing 10 % costs nothing on source data', _gain('mixing', 'naive')),
    Hypothesis('H3c', 'Mixing 10 % is better on source data than 40 %',
               _gain('mixing', 'mixing_40'), domain=SOURCE),
    Hypothesis('H4', 'Layer-wise decay improves unseen data', _gain('mixing_decay', 'mixing')),
    Hypothesis('H5', 'L_reg improves unseen data', _gain('practical', 'without_reg')),
    Hypothesis('H6', 'L_orthog improves unseen data', _gain('practical', 'without_orthog')),
    Hypothesis('H7a', 'Tasks in order of t_mat are better than all together',
               _gain('asc', 'joint'), TASKS, SOURCE),
    Hypothesis('H7b', 'Tasks in order of t_mat are better than in the opposite order',
               _gain('asc', 'desc'), TASKS, SOURCE),
    Hypothesis('H8', 'Experts improve a network for several tasks', _gain('experts', 'asc'), TASKS,
               SOURCE),
    Hypothesis('H10a', 'The released recipe is better on unseen data than the preprint\'s',
               _gain('released', 'preprint'), TASKS),
    Hypothesis('H10b', 'The released recipe is better on unseen data than `paper_practical`',
               _gain('released', 'practical'), TASKS),
    Hypothesis('H10c', 'The released recipe improves unseen data, at the same fine-tuning updates',
               _gain('released', 'scratch_ve'), TASKS),
    Hypothesis('H10d', 'The released recipe improves unseen data, at equal total compute',
               _gain('released', 'scratch_ve_long'), TASKS),
    Hypothesis('H10e', 'The preprint\'s recipe improves unseen data over naive fine-tuning',
               _gain('preprint', 'naive'), TASKS),
    Hypothesis('H11a', 'The FFT term improves training from scratch on source data',
               _gain('scratch', 'scratch_l1'), domain=SOURCE),
    Hypothesis('H11b', 'The FFT term improves training from scratch on unseen data',
               _gain('scratch', 'scratch_l1')),
    Hypothesis('H11c', 'The FFT term improves the released recipe on unseen data',
               _gain('released', 'released_l1')),
    Hypothesis('H12', 'Pre-training gains more on unseen data with VE than with VP diffusion',
               _difference(_gain('naive_ve', 'scratch_ve'), _gain('naive', 'scratch')), TASKS),
    Hypothesis('H13a', 'Pre-training improves unseen data, averaged over 4, 16, 64 and all pairs',
               {arm: weight / len(COUNTS) for arm, weight in _MEAN_OF_FEW.items()}),
    Hypothesis('H13b', 'It gains more with 4 pairs than with all', _INTERACTION),
)  # fmt: skip

GLOBALITY = {
    'noisy': 1, 'rainy': 1, 'jpeg': 1,
    'snowy': 2, 'inpainting': 2, 'raindrop': 2, 'shadowed': 2,
    'low_light': 3, 'hazy': 3, 'blurry': 3,
}  # fmt: skip
H9 = 'the matched time steps rise with how global a degradation is (Spearman correlation)'
