"""Joins the results of several tests into one table and one summary.json."""

import argparse
import hashlib
from pathlib import Path
from typing import Any

from dtir_mm.analysis.summary import (
    METHODS,
    code_version,
    format_table,
    verdict,
    write_summary,
)
from dtir_mm.apis.command_line import ToolParser, one_line_errors
from dtir_mm.json_files import read_json
from dtir_mm.matching.timestep_match import describe_match
from dtir_mm.matching.timesteps_file import read_matches

_KEYS = {'config_hash', 'images', 'precision', 'protocol', 'rows', 'seed'}


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('output', type=Path, help='the summary.json to write')
    parser.add_argument('tests', nargs='+', type=Path, help='output folders of dtir-mm test')
    parser.add_argument('--timesteps', type=Path, help='file of dtir-mm match')
    parser.add_argument(
        '--note', action='append', default=[], metavar='LINE',
        help='a line to print under the table; may be given several times',
    )  # fmt: skip
    return parser.parse_args()


@one_line_errors()
def main() -> None:
    args = parse_args()
    parts = [_read(folder / 'summary.json') for folder in args.tests]
    rows = [row for part in parts for row in part['rows']]
    unique: dict[tuple[str, str, str], dict] = {}
    for row in rows:
        key = (row['task'], row['domain'], row['method'])
        if unique.setdefault(key, row) != row:
            raise ValueError(
                f'two tests have different rows for {" / ".join(key)}: give one of them another '
                f'--method, and test both by one protocol on the same images'
            )
    protocols = sorted({part['protocol'] for part in parts})
    if len(protocols) > 1:
        raise ValueError(f'the tests were measured by several protocols: {", ".join(protocols)}')
    order = {method: place for place, method in enumerate(METHODS)}
    rows = sorted(
        unique.values(), key=lambda r: (r['task'], r['domain'], order.get(r['method'], len(order)))
    )
    matches = read_matches(args.timesteps) if args.timesteps else {}
    steps = {
        task: {key: match[key] for key in ('t_mat', 'interval', 'status')}
        for task, match in matches.items()
    }
    images = [image for part in parts for image in part['images']]
    hashes = ' '.join(part['config_hash'] for part in parts)
    write_summary(
        args.output,
        rows=rows,
        timesteps=steps,
        protocol=protocols[0],
        precision=' '.join(sorted({part['precision'] for part in parts})),
        seed=parts[0]['seed'],
        commit=code_version(),
        config_hash=hashlib.sha256(hashes.encode()).hexdigest()[:12],
        images=images,
        ema_decay=None,
    )
    if said := verdict(rows):
        print(said)
    print(format_table(rows))
    for note in args.note:
        print(note)
    for task, match in matches.items():
        print(f'{task}: {describe_match(match)}')
    print('images (input | restored | ground truth):')
    for folder in sorted({str(Path(image).parent) for image in images}):
        print(f'  {folder}')
    print(f'written: {args.output}')


def _read(file: Path) -> dict[str, Any]:
    """The summary of a test; raises ValueError if the file is of another kind."""
    try:
        summary = read_json(file)
        if not _KEYS <= summary.keys():
            raise ValueError(f'it lacks {", ".join(sorted(_KEYS - summary.keys()))}')
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f'{file} is not what this version of dtir-mm test writes: {error}'
        ) from error
    return summary
