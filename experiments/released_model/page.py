"""Writes the measured results into the model card of the released model, and into README.md.

    python experiments/released_model/page.py [--results DIR]

The folder has released.json (``evaluate.py``) and, for comparison on the same photographs,
classical.json (``classical.py``), and scratch.json and paradigm.json: the same network from scratch
and pre-trained, at equal compute. All but the first are optional. The text depends on them alone.
"""

import argparse
from pathlib import Path
from typing import Any

from cases import CBSD68, CLEAN, COMPOSITE, LIVE1, TASKS
from measurements import Measurements, beaten, cell, found, mean, written
from quoted import TABLE_2

from dtir_mm.analysis.markdown import table
from dtir_mm.apis.command_line import ToolParser, one_line_errors
from dtir_mm.datasets.degradations import SEVERITIES
from dtir_mm.files import write_text

FOLDER = Path(__file__).parent
RESULTS = FOLDER / 'results'
CARD = FOLDER.parents[1] / 'dtir_mm' / 'released' / 'README.md'
README = FOLDER.parents[1] / 'README.md'
_BEGIN, _END = '<!-- measured -->\n', '<!-- end of measured -->'
_ARMS = {'scratch': 'from scratch, 9900 updates', 'paradigm': 'pre-trained, 3000 + 6900 updates'}
_MODES = {'told': 'non-blind', 'blind': 'blind'}  # in the files, and in the text
_GOOD = 45  # dB, of a clean photograph that comes back
_GAIN = 0.05  # dB, above which a classical method counts as useful


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__.splitlines()[0])
    parser.add_argument('--results', type=Path, default=RESULTS, help='folder of the JSON files')
    return parser.parse_args()


@one_line_errors('page')
def main() -> None:
    args = parse_args()
    for page, text in ((CARD, text_of(args.results)), (README, overview(args.results))):
        write_text(page, filled(page.read_text(encoding='utf-8'), text))
        print(f'written: {page}')


def filled(card: str, text: str) -> str:
    """The card with ``text`` between its two marks.

    Raises:
        ValueError: it lacks a mark.
    """
    before, begin, rest = card.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f'the card must have a line {_BEGIN.strip()} and a line {_END} below it')
    return f'{before}{_BEGIN}\n{text}\n{_END}{after}'


def text_of(folder: Path) -> str:
    """The results in a folder as markdown.

    Raises:
        FileNotFoundError: there is no released.json.
        ValueError: the files have other photographs or protocols.
    """
    released = Measurements(folder / 'released.json')
    others = {
        name: Measurements(folder / f'{name}.json')
        for name in ('classical', *_ARMS)
        if (folder / f'{name}.json').is_file()
    }
    for other in others.values():
        released.require_comparable(other)
    parts = [
        _origin(released),
        _verdict(released, others),
        *(_severity(released, others, severity) for severity in SEVERITIES),
        _notes(others),
        _composites(released),
        _clean(released),
        _artefacts(released),
        _papers(released),
    ]
    return '\n\n'.join(part for part in parts if part) + '\n'


def overview(folder: Path) -> str:
    """A table of the mean PSNR at the source severity, as markdown."""
    released, classical = (Measurements(folder / f'{n}.json') for n in ('released', 'classical'))
    rows = [['PSNR, dB', 'input', 'best classical method', *_MODES.values()]]
    for task in TASKS:
        case = released.case('source', task)
        best = mean(classical.case('source', task), 'classical')
        means = [mean(case, 'input'), best, mean(case, 'told'), mean(case, 'blind')]
        rows.append([task.replace('_', ' '), *(f'{value:.2f}' for value in means)])
    return table(rows[0], rows[1:]) + '\n'


def _origin(released: Measurements) -> str:
    about = released.about
    case = released.case('source', TASKS[0])
    assert case is not None, 'evaluate.py measures every task'
    figures = 'PSNR in dB / SSIM / LPIPS' if about['protocol'] == 'rgb' else 'PSNR in dB / SSIM'
    return (
        f'`{about["file"]}` (sha256 {about["file_sha256"][:12]}), measured at commit '
        f'{str(about["commit"])[:12]} under protocol `{about["protocol"]}`: {figures}, means over '
        f'the {len(case["photos"])} photographs of the {about["split"]} split at half size. '
        f'"Non-blind" means that the degradation is given (`--task`), "blind" that the classifier '
        f'decides.'
    )


def _verdict(released: Measurements, others: dict[str, Measurements]) -> str:
    rivals = {'the input': (released, 'input')}
    if 'classical' in others:
        rivals['the best classical method'] = (others['classical'], 'classical')
    for name, label in _ARMS.items():
        if name in others:
            rivals[f'the same network {label}'] = (others[name], 'told')
    lines = ['Its mean PSNR is higher than that of', '']
    for name, rival in rivals.items():
        counts = [
            f'{mode}, {" and ".join(_count(released, method, rival, s) for s in SEVERITIES)}'
            for method, mode in _MODES.items()
            if rival[1] != 'told' or method == 'told'
            if mean(released.case('source', TASKS[0]), method) is not None
        ]
        lines.append(f'- **{name}**: {"; ".join(counts)}')
    return '\n'.join(lines)


def _count(
    released: Measurements, method: str, rival: tuple[Measurements, str], severity: str
) -> str:
    won = beaten(released, method, *rival, severity)
    assert won is not None, 'evaluate.py and classical.py measure every task'
    lost = ', '.join(task.replace('_', ' ') for task in TASKS if not won[task])
    without = f' (not {lost})' if lost else ''
    return f'on {sum(won.values())} of {len(TASKS)} tasks at the {severity} severity{without}'


def _severity(released: Measurements, others: dict[str, Measurements], severity: str) -> str:
    arms = [name for name in _ARMS if name in others]
    header = [
        f'{severity} severity',
        'input',
        'best classical method',
        *_MODES.values(),
        'predicted',
    ]
    rows = [[*header, *(_ARMS[name] for name in arms)]]
    for task in TASKS:
        case = released.case(severity, task)
        assert case is not None, 'evaluate.py measures every task'
        rows.append(
            [
                task.replace('_', ' '),
                cell(case, 'input'),
                _classical(others.get('classical'), severity, task),
                cell(case, 'told'),
                cell(case, 'blind'),
                found(case),
                *(cell(others[name].case(severity, task), 'told') for name in arms),
            ]
        )
    return table(rows[0], rows[1:])


def _classical(classical: Measurements | None, severity: str, task: str) -> str:
    if classical is None:
        return '-'
    name = classical.about['tuned'][task]['chosen']
    return f'{cell(classical.case(severity, task), "classical")}, {name}'


def _notes(others: dict[str, Measurements]) -> str:
    if 'classical' not in others:
        return ''
    classical = others['classical']
    tuned: dict[str, Any] = classical.about['tuned']
    useless = [
        task.replace('_', ' ')
        for task in TASKS
        if max(method['psnr'] for method in tuned[task]['methods']) < tuned[task]['input'] + _GAIN
    ]
    given = [cell(classical.case(severity, 'inpainting'), 'holes given') for severity in SEVERITIES]
    lines = [
        'Classical methods (OpenCV, scikit-image) are non-blind; their settings, and the best '
        'of them for each task, were chosen on the validation photographs at the source severity '
        f'([classical.json](../../experiments/released_model/results/classical.json)). Given the '
        f'true holes, inpainting gives {" and ".join(given)} (source and target); otherwise holes '
        f'are where the image is pure white.'
    ]
    if useless:
        lines.append(
            f'On {" and ".join(useless)}, no classical method gains {_GAIN} dB on the validation '
            f'photographs.'
        )
    return ' '.join(lines)


def _composites(released: Measurements) -> str:
    rows = [
        ['two degradations', 'input', 'blind', 'predicted', 'given the first', 'given the second']
    ]
    for tasks in released.keys(COMPOSITE):
        case = released.case(COMPOSITE, *tasks)
        assert case is not None, 'it is one of the keys'
        told = [cell(case, f'told {task}') for task in tasks]
        name = ' + '.join(tasks).replace('_', ' ')
        rows.append([name, cell(case, 'input'), cell(case, 'blind'), found(case), *told])
    return table(rows[0], rows[1:])


def _clean(released: Measurements) -> str:
    case = released.case(CLEAN)
    if case is None or 'blind' not in case:
        return ''
    values, steps = case['blind']['psnr'], case['blind']['t']
    count = len(values)
    return (
        f'Clean photographs restored blind: {sum(value > _GOOD for value in values)} of {count} '
        f'come back above {_GOOD} dB, {steps.count(0)} of {count} are returned unchanged; '
        f'the lowest PSNR is {min(values):.1f} dB.'
    )


def _artefacts(released: Measurements) -> str:
    rows = [['artefacts, source severity', 'input', *_MODES.values()]]
    names = {'border': 'error at the border / inside', 'grid': 'error at periods of 2 to 16 pixels'}
    for figure, name in names.items():
        cells = []
        for method in ('input', *_MODES):
            values = [mean(released.case('source', task), method, figure) for task in TASKS]
            measured = [value for value in values if value is not None]
            cells.append(
                f'{sum(measured) / len(measured):.2f}, at most {max(measured):.2f}'
                if measured
                else '-'
            )
        rows.append([name, *cells])
    return table(rows[0], rows[1:]) + (
        '\n\nMeans over tasks, and the largest of a task. The border is the outer two pixels: a '
        'network that leaves a line there has more than its input. The second row is relative to '
        'neighbouring frequencies: a network that leaves a grid has more than about 1.'
    )


def _papers(released: Measurements) -> str:
    cases = {CBSD68: released.case(CBSD68, 'noisy'), LIVE1: released.case(LIVE1, 'jpeg')}
    if None in cases.values():
        return ''
    rows = [['', 'noisy: CBSD68, sigma 50', 'JPEG: LIVE1, quality 10']]
    names = {'input': 'input'} | {key: f'this model, {name}' for key, name in _MODES.items()}
    rows += [
        [name, *(cell(case, method) for case in cases.values())]
        for method, name in names.items()
        if method in cases[CBSD68]
    ]
    rows += [
        [f'{name}, quoted', *(written(by_set[data]) for data in cases)]
        for name, by_set in TABLE_2.items()
    ]
    return table(rows[0], rows[1:]) + (
        '\n\nQuoted from Table 2 of the preprint (arXiv 2506.21722, Setting B): networks of other '
        'sizes, trained on the ten data sets of that setting. It does not state how the noise was '
        'rounded and clipped, nor a border that is cropped; ours is clipped, and nothing cropped.'
    )


if __name__ == '__main__':
    main()
