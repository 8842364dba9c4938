"""Runs the experiments of docs/evidence.md and analyses them.

    python experiments/run.py status
    python experiments/run.py run --minutes 60
    python experiments/run.py analyse

``run`` takes the most valuable missing cells first and may be killed at any time; a second call
continues. It needs the photographs of ``python tools/prepare_photos.py data/photos``.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

import torch
from evidence.matrix import all_cells
from evidence.photographs import require_expected
from evidence.results import RESULTS, ROOT, WORK, require_commit

from dtir_mm.apis.command_line import ToolParser, at_least, one_line_errors


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest='command', required=True)
    commands.add_parser('status', help='show what has been run')
    commands.add_parser('analyse', help='write docs/evidence.md and its figures from the results')
    run = commands.add_parser('run', help='run missing cells')
    run.add_argument('--minutes', type=at_least(1), required=True, help='when to stop')
    run.add_argument('--jobs', type=at_least(1), default=1, help='cells at a time (default: 1)')
    run.add_argument('--device', choices=['cpu', 'cuda'], default='cpu', help='default: cpu')
    run.add_argument(
        '--photos', type=Path, default=Path('data/photos'), help='default: data/photos'
    )
    run.add_argument('--cells', nargs='+', metavar='CELL', help='only these')
    run.add_argument(
        '--trial', action='store_true', help='write results, which do not count, to work_dirs'
    )
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    """Runs cells; counted ones only from a commit."""
    if unknown := set(args.cells or ()) - all_cells().keys():
        raise ValueError(f'no such cells: {", ".join(sorted(unknown))}')
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise ValueError('--device cuda: torch finds no GPU here')
    if not args.trial:
        require_commit()
    require_expected(args.photos)
    if args.device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    from evidence.runner import Runner

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: cells are stopped

    work = WORK / 'trial' if args.trial else WORK
    results = work / 'results' if args.trial else RESULTS
    runner = Runner(
        args.photos.resolve(), work, results, args.jobs, lambda line: print(line, flush=True)
    )
    if failed := runner.run(args.minutes, args.cells):
        raise ValueError(f'{len(failed)} cells failed: {", ".join(failed)}')


@one_line_errors('run', 'interrupted; the same command continues')
def main() -> None:
    args = parse_args()
    if args.command == 'run':
        run(args)
    elif args.command == 'status':
        from evidence.status import status

        print(status(RESULTS))
    else:
        from evidence.page import write_page

        for path in write_page(ROOT, RESULTS):
            print(f'written: {path}')


if __name__ == '__main__':
    sys.exit(main())
