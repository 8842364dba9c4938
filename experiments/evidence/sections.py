"""The sections of docs/evidence.md that show results by arm."""

from collections.abc import Mapping, Sequence

from dtir_mm.analysis.markdown import table
from dtir_mm.engine.task_schedule import TaskSchedule, task_order
from dtir_mm.matching.table4 import PAPER_TIMESTEPS
from evidence.arms import (
    ARMS,
    CORE,
    COUNTS,
    FFT,
    INTERPOLATIONS,
    MATCHED,
    MISMATCHED_STEPS,
    REMEDIES,
    STEPS,
    TERMS,
    swept,
)
from evidence.evaluation import Results, of_first_seeds, runs_of
from evidence.figures import Figure, curve_figures, pair_figures, step_figures
from evidence.hypotheses import SOURCE, TARGET
from evidence.quoted import ABLATED, TABLES, UNIFIED
from evidence.studies import PAIR, TASKS
from evidence.tables import DOMAINS, EMPTY, input_of, mean_of, on_plateau, quoted

_FEW_PAIRS = """\
One fixed pair of each photograph, of the same four, 16 or 64 with every seed. From scratch, no loss
was found with four pairs: they are within 0.3 dB of all pairs, or better, on both tests, with
intervals of up to 1.6 dB to either side. The network does not overfit them in so few updates, so
what pre-training might do against overfitting is not tested here. On rain, four pairs are better on
source data, since training leaves the plateau after 350 or 400 updates instead of 500 to 650: these
four happen to be further from their ground truth (content loss of the input .157 instead of .126).
Nor is a gain of the recipe `released` on unseen data certain for any number of pairs; the largest
is 0.4 dB, on rain with four."""

_BASELINES = """\
**WiSE-FT** interpolates between the weights before and after fine-tuning. With the diffusion of the
preprint, it helps on noise alone: half-way, 1.2 dB are gained on unseen data and 1.3 dB lost on
source data. This fits what the pre-trained network does at the time step of noise: it removes noise
with sigma 31 (of 255), more than the 25 of the training pairs. With the diffusion of the released
code it removes sigma 3, and 3.5 dB are lost on unseen and 4.2 dB on source data. On the other
degradations, which the pre-trained network has never seen, half-way costs 0.5 to 4.2 dB on unseen
data, and 0.9 of the way up to 1.6 dB. **L2-SP** costs as much as L_reg does at 0.2, and its weights
stay closer to the pre-trained ones: on rain, it costs 2.8 dB on source and 0.3 dB on unseen data;
in low light, it costs 0.1 dB and gains 0.3 dB. **Widened severities** cost 6.0 dB on source and 2.0
dB on unseen data in low light, and 0.8 dB on both in haze: there, a scaled difference from the
ground truth is not what another severity looks like. After pre-training they do the same: they cost
5.3 dB on source data in low light and 0.7 dB on rain, where they gain 0.1 dB on unseen data."""

_SHARES = """\
A task's share of the samples depends on when it joins, so that what the order does and what the
share does cannot be separated here: noise, which gains most from joining early (H7b), has 52 % of
the samples then, and 6 % in the opposite order."""

_TIME_STEPS = """\
With the diffusion of the preprint, a small step is better on rain and, on source data, in low
light. On rain, t = 1 and t = 4 are no different from the 8 of Table 4, and 15 and above cost 1.3 to
2.5 dB on source and 0.2 to 0.3 dB on unseen data. In low light, t = 8 is 0.8 dB better on source
data than the 38 of Table 4 and no different on unseen data, where t = 27 is best, 0.5 dB better
than 38. With the diffusion of the released code, the step matters less: on rain, t = 1 is 0.6 dB
better than 8 on source and 0.1 dB on unseen data, and 15 and above cost 0.2 to 0.3 and 0.1 dB; in
low light no step differs from that of Table 4 by more than 0.1 dB. In neither diffusion is the step
of Table 4 certainly better than t = 1. A reason on rain: the output of the network is scaled by the
noise level of t, and right after pre-training it still predicts noise, so that training starts the
further from the input the larger t is. Over the first 8 updates, the content loss is 2.3 to 3.9
times that of the input up to t = 8, and 4.2 to 7.4 times from t = 15; the plateau is left after 400
to 700 updates in the former case, and after 650 to 1150 in the latter."""


def main_table(results: Results) -> str:
    """As Table 1: whole recipes and baselines on each task."""
    studies = [(arm.name, arm.label) for arm in CORE]
    parts = [_by_domain(results, task, studies) for task in TASKS]
    return '## Recipes and baselines (as Table 1)\n\n' + _shape() + '\n\n' + '\n\n'.join(parts)


def ablations(results: Results) -> str:
    """As Tables 6, 7 and 9: parts of the preprint's recipe removed one at a time."""
    parts = []
    for task, (title, rows) in TABLES.items():
        if task not in PAIR:
            continue
        lines = []
        for row, (source, unseen) in rows.items():
            study = ABLATED[row].format(task=task)
            ours = [mean_of(results, study, task, domain) for domain in (SOURCE, TARGET)]
            lines.append([row, quoted(source), ours[0], quoted(unseen), ours[1]])
        header = [title, 'source, quoted', 'here', 'unseen, quoted', 'here']
        parts.append(table(header, lines))
    text = (
        '## Ablation: parts removed one at a time (as Tables 6 to 9)\n\n'
        'Quoted: the paper, whose network, data and updates are others. Here: `paper_practical`, '
        'since on rain the recipe `paper` does not leave its plateau in this size. "w/o TMGP" is '
        'training from scratch, "w/o t^mat" fine-tuning at the step of the other task '
        f'({", ".join(f"{task}: {MISMATCHED_STEPS[task]}" for task in PAIR)}). Of the 8 samples of '
        'a batch, one is generative, so that the term of L_orthog within the generative samples '
        'is absent.'
    )
    return '\n\n'.join([text, *parts])


def other_arms(results: Results) -> str:
    """Terms added one at a time, the FFT term, and other baselines."""
    terms = [(arm.name, arm.label) for arm in TERMS if not arm.name.startswith('without')]
    remedies = [(arm.name, arm.label) for arm in REMEDIES]
    remedies += [(study.name, study.label) for study in INTERPOLATIONS.values()]
    base = [(name, ARMS[name].label) for name in ('scratch', 'naive', 'released')]
    fft = [(arm.name, arm.label) for arm in FFT]
    fft += [(name, ARMS[name].label) for name in ('preprint', 'preprint_fft')]
    parts = ['## Parts added one at a time']
    parts += [_by_domain(results, task, base[1:] + terms) for task in PAIR]
    parts += ['## The FFT term', *(_by_domain(results, t, base + fft) for t in PAIR)]
    parts += ['## Other baselines', _BASELINES]
    parts += [_by_domain(results, task, base + remedies) for task in TASKS]
    return '\n\n'.join(parts)


def few_pairs(results: Results) -> str:
    """By number of pairs."""
    names = ('scratch', 'naive', 'released')
    parts = ['## Few pairs', _FEW_PAIRS, *_images(pair_figures(results))]
    for task in PAIR:
        studies = {name: [f'{name}_{count}' for count in COUNTS] for name in names}
        parts.append(table([task, *COUNTS], _by_method(results, task, studies)))
    return '\n\n'.join(parts)


def sweep(results: Results) -> str:
    """By the time step of fine-tuning (as Fig. 3)."""
    title = '## Does the time step matter? (as Fig. 3b, 3d)'
    parts = [title, _TIME_STEPS, *_images(step_figures(results)), 'Three seeds of every step.']
    results = of_first_seeds(results, 3)
    for task in PAIR:
        studies = {
            name: [swept(name, task, step) for step in STEPS] for name in ('naive', 'released')
        }
        header = [f'{task} (Table 4: {MATCHED[task]})', *(f't = {step}' for step in STEPS)]
        parts.append(table(header, _by_method(results, task, studies)))
    return '\n\n'.join(parts)


def _by_method(
    results: Results, task: str, studies: Mapping[str, Sequence[str]]
) -> list[list[str]]:
    """A row for each method and test, with a cell for each of the method's studies."""
    return [
        [
            f'{method}, {DOMAINS[domain]}',
            *(mean_of(results, study, task, domain) for study in of_method),
        ]
        for method, of_method in studies.items()
        for domain in (SOURCE, TARGET)
    ]


def unified(results: Results) -> str:
    """As Table 10: one network for four tasks."""
    rows = []
    for row, (pair, study) in UNIFIED.items():
        ours = [mean_of(results, study, task, SOURCE) for task in TASKS]
        rows.append([row, ARMS[study].label, quoted(pair), *ours])
    header = ['row of the paper', 'here', 'average of ten tasks, quoted', *TASKS]
    shares = [
        [label, *(f'{100 * share:.0f} %' for share in by_task.values())]
        for label, by_task in _shares().items()
    ]
    parts = [
        '## One network for several tasks (as Table 10)',
        'On source data, three seeds.',
        table(header, rows),
        _SHARES,
        table(['share of the samples', *TASKS], shares),
    ]
    return '\n\n'.join(parts)


def _shares() -> dict[str, dict[str, float]]:
    """The share of all samples that each task has, by order."""
    found = {}
    for order in ('asc', 'desc'):
        tasks = task_order({task: PAPER_TIMESTEPS[task] for task in TASKS}, order, seed=0)
        schedule = TaskSchedule(tuple(tasks), 'cumulative', len(TASKS))
        weights = [schedule.weights(i) for i in range(len(TASKS))]
        found[ARMS[order].label] = {
            task: sum(each.get(task, 0.0) for each in weights) / len(TASKS) for task in TASKS
        }
    return {ARMS['joint'].label: dict.fromkeys(TASKS, 1 / len(TASKS)), **found}


def curves(results: Results) -> str:
    """Where each arm's loss curves end."""
    rows = []
    for arm in ARMS.values():
        tasks = arm.tasks[:1] if arm.unified else arm.tasks  # a unified network is one run
        found = [r for task in tasks for r in runs_of(results, arm.name, task).values()]
        if not found:
            continue
        plateaus = [result['plateau'] for result in found]
        past = sum(bool(plateau['left']) for plateau in plateaus)
        shares = [plateau['share'] for plateau in plateaus]
        falling = sum(plateau['falling'] for plateau in plateaus) / len(plateaus)
        rows.append(
            [
                arm.label,
                f'{past} of {len(found)}',
                f'{min(shares):.2f} to {max(shares):.2f}',
                EMPTY if arm.unified else f'{100 * falling:.1f} %',
            ]
        )
    text = (
        '## Loss curves\n\n'
        'A run is past its plateau if its content loss, over the last 300 updates, is at least '
        '2 % lower than that of the degraded input, where training may stall. The last column '
        'is how much the loss still fell over the last fifth of the updates; it says nothing for '
        'networks for several tasks, since their tasks change.'
    )
    header = ['arm', 'runs past the plateau', "loss / input's loss", 'still falling']
    return '\n\n'.join([text, *_images(curve_figures(results)), table(header, rows)])


def _by_domain(results: Results, task: str, studies: Sequence[tuple[str, str]]) -> str:
    """A table of arms by severity; without arms that are not part of the design for the task."""
    rows = [['input', *(input_of(results, task, domain) for domain in DOMAINS), '']]
    for name, label in studies:
        if name in INTERPOLATIONS or task in ARMS[name].tasks:
            label += on_plateau(results, name, task)
            cells = [mean_of(results, name, task, domain) for domain in DOMAINS]
            rows.append([label, *cells, str(len(runs_of(results, name, task)))])
    return table([task, *DOMAINS.values(), 'seeds'], rows)


def _images(figures: Sequence[Figure]) -> list[str]:
    shown = [f'![{figure.title}](images/evidence/{figure.name}.svg)' for figure in figures]
    return [' '.join(shown)] if shown else []


def _shape() -> str:
    return (
        f'PSNR ± standard deviation over seeds / SSIM; "{EMPTY}" has not been run. Runs "on the '
        'plateau" hardly do more than return their input (see Loss curves). Where a table does not '
        'state the number of seeds, it is three, or five for whole recipes and baselines.'
    )
