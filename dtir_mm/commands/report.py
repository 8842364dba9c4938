"""Writes a page about runs: results, images, curves, messages and configs, in one HTML file."""

import argparse
from pathlib import Path

from dtir_mm.analysis.report.page import write_report
from dtir_mm.apis.command_line import ToolParser, one_line_errors


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument(
        'folders', nargs='+', metavar='WORK_DIR',
        help='work directories of training, output folders of dtir-mm test, or folders of these',
    )  # fmt: skip
    parser.add_argument('--out', required=True, type=Path, help='the folder to write index.html to')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier report')
    return parser.parse_args()


@one_line_errors('report')
def main() -> None:
    args = parse_args()
    page = write_report(args.folders, args.out, args.overwrite)
    print(f'written: {page} ({page.stat().st_size / 1e6:.1f} MB)')
