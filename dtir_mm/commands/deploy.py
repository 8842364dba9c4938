"""Writes a restorer at one time step as a plain network, as safetensors and ONNX (--onnx)."""

import argparse
from pathlib import Path

from torch import nn

from dtir_mm.apis import load_restorer
from dtir_mm.apis.command_line import ToolParser, add_config_arguments, one_line_errors
from dtir_mm.apis.deployment import deploy, export_onnx, require_onnx, save_deployed
from dtir_mm.config import read_config
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.files import require_new
from dtir_mm.models.backbones.zoo import self_contained


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument(
        'checkpoint', type=Path, help='a checkpoint, or the work directory of a run'
    )
    parser.add_argument('output', help='path of the files to write, without .safetensors')
    step = parser.add_mutually_exclusive_group(required=True)
    step.add_argument('--task', help='deploy at the time step of this degradation')
    step.add_argument('--t', type=int, help='deploy at this time step')
    add_config_arguments(parser)
    parser.add_argument('--overwrite', action='store_true', help='replace files that exist')
    parser.add_argument('--onnx', action='store_true', help='write ONNX too')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    stem = args.output.removesuffix('.safetensors')
    weights, onnx = f'{stem}.safetensors', f'{stem}.onnx'
    with one_line_errors('deploy'):
        for file in (weights, onnx) if args.onnx else (weights,):
            require_new(file, args.overwrite)
        if args.onnx:
            require_onnx()
        checkpoint = load_checkpoint(args.checkpoint)
        restorer = load_restorer(checkpoint, args.config, args.allow_imports)
        if warning := checkpoint.pretraining_warning:
            print(warning)
        t = restorer.timesteps[args.task] if args.t is None else args.t
        network = deploy(restorer, t)
        about = {'t': t, 'checkpoint': '/'.join(checkpoint.path.resolve().parts[-2:])}
        if args.task is not None:
            about['task'] = args.task
        config = read_config(args.config).to_dict() if args.config else checkpoint.config
        save_deployed(network, weights, self_contained(config['model']['backbone']), **about)
        backbone = restorer.backbone
        print(
            f'parameters: {_size(backbone):,} of the training graph, {_size(backbone.net):,} of '
            f'the bare network, {_size(network):,} deployed at t = {t}\nwritten: {weights}'
        )
        if args.onnx:
            multiple = export_onnx(network, onnx)
            print(f'written: {onnx} (heights and widths must be multiples of {multiple})')


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
