"""Draws one of the paper's figures from what runs and tests wrote, or from trained networks."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from dtir_mm.analysis.figures.bars import pretraining_figure
from dtir_mm.analysis.figures.features import feature_figure
from dtir_mm.analysis.figures.orders import order_figure
from dtir_mm.analysis.figures.radar import radar_figure
from dtir_mm.analysis.figures.style import Drawn, require_output, save, text_style
from dtir_mm.analysis.figures.sweeps import SWEEPS, sweep_figure
from dtir_mm.analysis.figures.tsne import tsne_figure
from dtir_mm.analysis.run_files import RunFiles, read_runs
from dtir_mm.apis.command_line import ToolParser, one_line_errors

FROM_RESULTS: dict[str, Callable[[RunFiles], Drawn]] = {
    'radar': radar_figure,
    'pretraining': pretraining_figure,
    **{name: partial(sweep_figure, sweep) for name, sweep in SWEEPS.items()},
    'order': order_figure,
}
FROM_NETWORKS: dict[str, Callable[[Sequence[Path], bool], Drawn]] = {
    'features': feature_figure,
    'tsne': tsne_figure,
}


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    names = [*FROM_RESULTS, *FROM_NETWORKS]
    parser.add_argument(
        'name', metavar='NAME', choices=names,
        help=f'one of {", ".join(names)} (docs/figures.md)',
    )  # fmt: skip
    parser.add_argument(
        'folders', nargs='+', type=Path, metavar='WORK_DIR',
        help='work directories of training, output folders of dtir-mm test, or folders of these; '
        'for features and tsne, work directories of trained networks',
    )  # fmt: skip
    parser.add_argument('--out', required=True, type=Path, help='file to write: .png, .pdf or .svg')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier file')
    parser.add_argument(
        '--allow-imports', action='store_true',
        help='for features and tsne: import the modules that the config of a checkpoint names',
    )  # fmt: skip
    return parser.parse_args()


@one_line_errors('figure')
def main() -> None:
    args = parse_args()
    require_output(args.out, args.overwrite)
    with text_style():
        if args.name in FROM_RESULTS:
            drawn = FROM_RESULTS[args.name](read_runs(args.folders))
        else:
            drawn = FROM_NETWORKS[args.name](args.folders, args.allow_imports)
        save(drawn.figure, args.out)
    for note in drawn.notes:
        print(note)
    print(f'written: {args.out}')
