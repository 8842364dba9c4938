"""Joins the runs of tools/pilot.sh into one JSON: results, gaps, and the loss curves."""

import argparse
import json
import platform
from pathlib import Path
from statistics import fmean
from typing import Any

from dtir_mm.apis.command_line import ToolParser, one_line_errors
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.files import write_text
from dtir_mm.json_files import parse_json, read_json

ARMS = {
    'finetune': 'pre-trained (6000 updates), then 2500 of GEF with everything on',
    'mixing': 'pre-trained (6000 updates), then 2500 with 10 % generative samples and nothing else',
    'naive': 'pre-trained (6000 updates), then 2500 without generative samples',
    'scratch': 'the same network and 2500 updates from random weights',
    'scratch8500': 'from random weights with the updates of both stages',
}


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('work', type=Path, help='folder of the runs, <arm>_s<seed>')
    parser.add_argument('output', type=Path, help='the JSON to write')
    return parser.parse_args()


def run_record(folder: Path) -> dict[str, Any]:
    """What is kept of one run."""
    checkpoint = load_checkpoint(folder)
    summary = read_json(folder / 'test' / 'summary.json')
    curve = {}
    for file in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            row = parse_json(line, file)
            if 'content' in row:
                curve[row['step']] = round(row['content'], 5)
    return {
        'run': folder.name,
        'arm': folder.name.rpartition('_s')[0],
        'seed': summary['seed'],
        'precision': summary['precision'],
        'patches': checkpoint.meta.global_batch,
        'updates': checkpoint.meta.iter,
        'commit': summary['commit'],
        'figures': {
            row['domain']: {name: row[name] for name in ('psnr', 'ssim', 'lpips', 'n')}
            for row in summary['rows']
            if row['method'] != 'input'
        },
        'input': {
            row['domain']: row['psnr'] for row in summary['rows'] if row['method'] == 'input'
        },
        'content_loss': sorted(curve.items()),
    }


def gaps(runs: list[dict[str, Any]], arm: str, baseline: str) -> dict[str, float]:
    """Difference in mean PSNR between an arm and a baseline, for each domain."""

    def mean(name: str, domain: str) -> float:
        return fmean(run['figures'][domain]['psnr'] for run in runs if run['arm'] == name)

    return {domain: mean(arm, domain) - mean(baseline, domain) for domain in ('source', 'target')}


def main() -> None:
    args = parse_args()
    with one_line_errors('summarize_pilot'):
        folders = [folder for arm in ARMS for folder in sorted(args.work.glob(f'{arm}_s*'))]
        runs = [run_record(folder) for folder in folders]
        present = {run['arm'] for run in runs}
        if 'scratch' not in present:
            raise ValueError(f'{args.work} needs runs scratch_s*, it has {sorted(present)}')
        result = {
            'name': 'sanity check of the pilot recipe on synthetic rain, not a result of the paper',
            'protocol': 'rgb: PSNR, SSIM, LPIPS on 8-bit RGB, every second image of CBSD68',
            'machine': f'{platform.machine()}, CPU',
            'arms': {arm: text for arm, text in ARMS.items() if arm in present},
            'psnr_gap_to_scratch_dB': {
                arm: gaps(runs, arm, 'scratch') for arm in ARMS if arm in present - {'scratch'}
            },
            'runs': runs,
        }
        write_text(args.output, json.dumps(result, indent=1) + '\n')
    for run in runs:
        source, target = (run['figures'][domain]['psnr'] for domain in ('source', 'target'))
        loss = run['content_loss'][-1][1]
        print(f'{run["run"]:<16}{source:6.2f} / {target:5.2f} dB   last content loss {loss:.4f}')
    for arm, gap in result['psnr_gap_to_scratch_dB'].items():
        print(f'{arm} to scratch: source {gap["source"]:+.2f}, target {gap["target"]:+.2f} dB')
    print(f'written: {args.output}')


if __name__ == '__main__':
    main()
