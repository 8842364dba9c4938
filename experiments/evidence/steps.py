"""Time steps of the ten degradations by every method, beside Table 4, and hypothesis H9."""

import numpy as np

from dtir_mm.analysis.markdown import table
from dtir_mm.matching.table4 import PAPER_TIMESTEPS
from evidence.arms import MATCHINGS
from evidence.correlation import Correlation, correlation
from evidence.evaluation import Results
from evidence.hypotheses import GLOBALITY, H9
from evidence.tables import EMPTY

_UNIDENTIFIED = 'unidentified'
_FOUND = """\
Noise is the only degradation on which `linear_probe`, `score` and `sdedit` agree. In the diffusion
of the preprint its step is 3 or 4, as in Table 4: sigma 25 (of 255) lies between t = 3 (22) and t =
4 (31). The diffusion of the released code ends at sigma 10, and noise is matched to its last steps
in all runs but one of `sdedit`. `trajectory` finds 1 for noise. For the other nine degradations, a
step is identified in 7 of 81 runs in the former and in 12 of 81 in the latter; in 90 of the other
143, the error does not depend on the step by more than its own spread, in 52 no step is clearly
better than doing nothing, and in one the interval is too wide. `sdedit` finds 34 or 35 for low
light in two of three runs (Table 4: 38). After 200 updates of fine-tuning at each of seven steps
(`probe_train`, one seed; 4 is not one of them), the best for noise is t = 40 in the former and t =
8 in the latter, with all seven within 3 %: the step at which the pre-trained network restores best
was not the one at which it was best to fine-tune. No rank correlation with Table 4 is certainly
positive (the largest is .49, of `probe_train` in the latter); steps that are not identified count
with the value in brackets."""


def matches_of(results: Results, name: str) -> list[dict]:
    """What a method of ``MATCHINGS`` found for each degradation, by seed."""
    keys = [f'match-{name}_all_s{seed}' for seed in range(MATCHINGS[name].seeds)]
    return [results[key]['matches'] for key in keys if key in results]


def steps_section(results: Results) -> str:
    """Table 4 beside the steps that each method finds; the last rows are rank correlations."""
    tasks = list(PAPER_TIMESTEPS)
    columns, correlations = {}, []
    for name in MATCHINGS:
        found = matches_of(results, name)
        if not found:
            continue
        columns[name] = [', '.join(_one(matches[task]) for matches in found) for task in tasks]
        steps = np.array([[matches[task]['t_mat'] for task in tasks] for matches in found])
        orders = [GLOBALITY, PAPER_TIMESTEPS]
        pair = [correlation(steps, np.array([order[task] for task in tasks])) for order in orders]
        correlations.append([name, *map(_shown, pair), pair[0].verdict])
    rows = [
        [task, str(PAPER_TIMESTEPS[task]), *(cells[i] for cells in columns.values())]
        for i, task in enumerate(tasks)
    ]
    text = (
        '## Matching time steps (as Table 4)\n\n'
        'One value for each seed, with its 90 % interval from a bootstrap over images; in brackets '
        'if the step is not identified: the error hardly depends on it, no step is clearly better '
        'than doing nothing, or the interval is wider than T / 2. `vp`: pre-training of the '
        'preprint; `ve`: of the released code.'
    )
    header = ['', 'Table 4', *columns]
    second = table(['method', 'with globality', 'with Table 4', 'verdict'], correlations)
    rule = (
        f'H9, apart from the hypotheses above: {H9}. The 95 % interval comes from a bootstrap over '
        'degradations; SUPPORTED: it and every seed lie above 0. Each method is judged by itself, '
        'without correction.'
    )
    return '\n\n'.join([text, table(header, rows), _FOUND, rule, second])


def _shown(found: Correlation) -> str:
    """A correlation with its interval; "-" if all steps are the same."""
    if found.low == found.high:
        return EMPTY
    return f'{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]'


def _one(match: dict) -> str:
    low, high = match['interval']
    text = f'{match["t_mat"]} ({low} to {high})'
    return f'[{text}]' if match['status'] == _UNIDENTIFIED else text
