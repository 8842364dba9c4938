"""Writes a restorer as safetensors: at one time step as a plain network, or the whole of it.

The network of one task (--task or --t) is as fast as one without time conditioning; --onnx writes
ONNX too. With --all-tasks, the file has what restoring any task needs, also blindly, in half
precision: the model to give away.
"""

import argparse
from pathlib import Path
from typing import Any

from torch import nn

from dtir_mm.apis import load_restorer
from dtir_mm.apis.command_line import ToolParser, add_config_arguments, one_line_errors
from dtir_mm.apis.deployment import deploy, save_deployed
from dtir_mm.apis.onnx_network import export_onnx, require_onnx
from dtir_mm.apis.release import save_release
from dtir_mm.config import read_config
from dtir_mm.engine.checkpoint import Checkpoint, load_checkpoint
from dtir_mm.files import require_new
from dtir_mm.models.backbones.zoo import self_contained
from dtir_mm.models.restorers.restorer import Restorer


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'checkpoint', type=Path, help='a checkpoint, or the work directory of a run'
    )
    parser.add_argument('output', help='path of the files to write, without suffix')
    step = parser.add_mutually_exclusive_group(required=True)
    step.add_argument('--task', help='deploy at the time step of this degradation')
    step.add_argument('--t', type=int, help='deploy at this time step')
    step.add_argument(
        '--all-tasks',
        action='store_true',
        help='write the whole restorer, with time conditioning and classifier, in half precision',
    )
    add_config_arguments(parser)
    parser.add_argument('--overwrite', action='store_true', help='replace files that exist')
    parser.add_argument('--onnx', action='store_true', help='write ONNX too')
    parser.add_argument('--license', help='of the weights, to be named in the file (--all-tasks)')
    args = parser.parse_args()
    if args.all_tasks and args.onnx:
        parser.error('ONNX holds the network of one time step: name --task or --t, not --all-tasks')
    if args.output.endswith('.onnx') and not args.onnx:
        parser.error(f'{args.output} names an ONNX file: give --onnx too')
    if args.license and not args.all_tasks:
        parser.error('--license needs --all-tasks')
    return args


@one_line_errors()
def main() -> None:
    args = parse_args()
    stem = args.output.removesuffix('.safetensors').removesuffix('.onnx')
    weights, onnx = f'{stem}.safetensors', f'{stem}.onnx'
    for file in (weights, onnx) if args.onnx else (weights,):
        require_new(file, args.overwrite)
    if args.onnx:
        require_onnx()
    checkpoint = load_checkpoint(args.checkpoint)
    restorer = load_restorer(checkpoint, args.config, args.allow_imports, step=None, freeze=None)
    config = read_config(args.config).to_dict() if args.config else checkpoint.config
    if warning := checkpoint.warning([args.task]):
        print(warning)
    if args.all_tasks:
        _write_all(restorer, checkpoint, config, weights, args.license)
    else:
        _write_one(restorer, checkpoint, config, args, weights, onnx)


def _write_one(
    restorer: Restorer,
    checkpoint: Checkpoint,
    config: dict[str, Any],
    args: argparse.Namespace,
    weights: str,
    onnx: str,
) -> None:
    t = restorer.timesteps[args.task] if args.t is None else args.t
    network = deploy(restorer, t, args.task)
    backbone = restorer.backbone
    save_deployed(network, weights, self_contained(config['model']['backbone']), checkpoint.origin)
    print(
        f'parameters: {_size(backbone):,} of the training graph, {_size(backbone.net):,} of the '
        f'bare network, {_size(network):,} deployed at t = {t}\nwritten: {weights}'
    )
    if args.onnx:
        multiple = export_onnx(network, onnx, checkpoint.origin)
        print(f'written: {onnx} (heights and widths must be multiples of {multiple})')


def _write_all(
    restorer: Restorer,
    checkpoint: Checkpoint,
    config: dict[str, Any],
    path: str,
    license_text: str | None,
) -> None:
    single = save_release(restorer, checkpoint, config, path, license_text)
    if single:
        print(f'in single precision, which half is too coarse for: {", ".join(single)}')
    blind = 'with' if restorer.classifier is not None else 'without'
    print(
        f'written: {path} ({_size(restorer):,} parameters, {Path(path).stat().st_size / 1e6:.1f} '
        f'MB, {blind} a classifier for blind restoration)'
    )


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
