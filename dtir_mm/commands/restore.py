"""Restores photographs: images, folders of images, or patterns such as 'photos/*.jpg'."""

import argparse
import os
import time
from pathlib import Path
from typing import Any

from dtir_mm import __version__
from dtir_mm.apis.command_line import ToolParser, add_config_arguments, at_least, one_line_errors
from dtir_mm.apis.loading import load_with_warning
from dtir_mm.apis.restore_file import Settings
from dtir_mm.apis.restore_plan import Naming, make_plan
from dtir_mm.apis.restore_run import Run
from dtir_mm.apis.restored_json import Record
from dtir_mm.apis.restoring import PRECISIONS, checked_device, choose_step, prepared, resolved
from dtir_mm.apis.standard_output import say
from dtir_mm.engine.checkpoint import checkpoints_in
from dtir_mm.files import require_writable
from dtir_mm.image_file import is_written
from dtir_mm.image_io import note_lines
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.tiling import DEFAULT_TILE
from dtir_mm.names import shown
from dtir_mm.released_model import released_model

_OF_CHECKPOINTS = ('.pth', '.pt', '.ckpt', '.safetensors', '.onnx')
_EPILOG = """\
The result of PHOTO.jpg is PHOTO_restored.jpg beside it, and those of a folder PHOTOS are in
PHOTOS_restored; --output names another file or folder. A folder of results gets restored.json,
which lists for each image what was found and how it was restored. Nothing that exists is replaced
without --overwrite, and the images themselves never are.

exit status: 0 if all images are restored (or skipped); 1 if one is not, or nothing was because an
argument does not fit the images, checkpoint or device, or results exist; 2 for wrong arguments; 130
if interrupted; 141 if the output is closed, as by `| head`. An image that fails does not stop the
others."""


def parse_args() -> argparse.Namespace:
    parser = ToolParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='image, folder, or pattern')
    parser.add_argument('-o', '--output', help='file for one result, or folder/')
    parser.add_argument('-r', '--recursive', action='store_true', help='restore sub-folders too')
    parser.add_argument(
        '--format', type=_suffix, metavar='png|jpg|...', help="default: each image's own"
    )
    parser.add_argument(
        '--compare', action='store_true', help='also write image and result side by side, as PNG'
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument('--overwrite', action='store_true', help='replace results that exist')
    existing.add_argument(
        '--skip-existing', action='store_true', help='skip images whose result exists, to continue'
    )
    _add_restoring(parser)
    add_config_arguments(parser)
    args = parser.parse_args()
    _understand_old_form(parser, args)
    return args


def _add_restoring(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('how to restore')
    group.add_argument(
        '--checkpoint',
        help='checkpoint, work directory, deployed network or public weights; default: the model '
        'that comes with dtir_mm',
    )
    group.add_argument(
        '--task', help='degradation; default: the one it was trained on, or the predicted one'
    )
    group.add_argument('--t', type=int, help="time step to use instead of the task's")
    group.add_argument(
        '--strength', type=_share, default=1.0, metavar='0..1',
        help='weight of the restored image, the rest is the input; default: 1',
    )  # fmt: skip
    group.add_argument('--ensemble', action='store_true', help='average over 4 flips (4x slower)')
    group.add_argument(
        '--tile', type=at_least(2), default=DEFAULT_TILE, metavar='PIXELS',
        help='largest side of the tiles that images are split into, which bounds the memory; '
        'default: %(default)s',
    )  # fmt: skip
    group.add_argument('--device', help='such as cpu or cuda:1; default: the first GPU, if any')
    group.add_argument(
        '--precision', choices=PRECISIONS, default='auto', help='default: bf16 on GPUs, else fp32'
    )
    group.add_argument(
        '--max-pixels', type=at_least(1), metavar='N', help='read images of up to N pixels'
    )


def _suffix(text: str) -> str:
    suffix = f'.{text.lower().removeprefix(".")}'
    if not is_written(suffix):
        raise argparse.ArgumentTypeError(f'{text!r} must be png, jpg, webp, tif or bmp')
    return suffix


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f'{text!r} must be a number from 0 to 1')
    return share


def _understand_old_form(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Accepts ``CHECKPOINT INPUT OUTPUT``, the form of version 0.2."""
    first = Path(args.inputs[0])
    if args.checkpoint or not (first.suffix in _OF_CHECKPOINTS or checkpoints_in(first)):
        return
    if len(args.inputs) != 3 or args.output:
        parser.error(f'{first} is a checkpoint: give it as --checkpoint {first}')
    args.checkpoint, source, output = args.inputs
    args.inputs, args.output, args.recursive = [source], output, True


def main() -> None:
    args = parse_args()
    with one_line_errors(interrupted='interrupted; continue with --skip-existing'):
        every = make_plan(
            args.inputs, args.output, Naming(args.format, args.compare), args.recursive
        )
        plan = every.without_existing(args.overwrite, args.skip_existing)
        for folder in {_existing(job.folder or job.result.parent) for job in plan.jobs}:
            require_writable(folder)
        folders = {job.folder for job in plan.jobs if job.folder is not None}
        records = {folder: Record(folder) for folder in folders}
        run = Run(*_prepared(args), args.overwrite, args.skip_existing, records)
        started = time.perf_counter()
        run.restore(plan.jobs)
        where = f' to {shown(args.output)}' if args.output else ''
        say(f'restored {run.done} image(s){where} in {time.perf_counter() - started:.1f} s')
        if skipped := len(every.jobs) - len(plan.jobs) + run.skipped:
            say(f'skipped {skipped} image(s) that already have results')
        for line in every.left_out + [f'note: {line}' for line in note_lines(run.notes)]:
            say(line)
    if failure := _failure(run, len(plan.jobs)):
        raise SystemExit(f'restore: {failure}')


def _failure(run: Run, jobs: int) -> str:
    """What failed in a run of that many jobs; empty if nothing did."""
    lines = '\n  '.join(run.failed + run.unrecorded)
    if not run.failed:
        return f'not recorded: {lines}' if lines else ''
    untried = jobs - run.done - run.skipped - len(run.failed)
    more = f', and {untried} not tried: free disk space and continue with --skip-existing'
    return f'not restored: {len(run.failed)} image(s){more if untried else ""}\n  {lines}'


def _existing(folder: Path) -> Path:
    """The folder, or the lowest above it that exists: none is made before there is a result."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))


def _prepared(args: argparse.Namespace) -> tuple[Restorer, Settings, dict[str, Any]]:
    """The restorer, how images are restored, and what their record says about both."""
    file = args.checkpoint or released_model()
    restorer, warning = load_with_warning(file, args.config, args.allow_imports, args.task)
    if warning:
        say(warning)
    if args.device:
        restorer = restorer.to(checked_device(args.device))
    t = choose_step(restorer, args.task, args.t)
    restorer = prepared(restorer, t, args.tile, args.ensemble)
    precision = resolved(args.precision, next(restorer.parameters()).device)
    settings = Settings(args.task, t, args.strength, precision, args.max_pixels)
    about = {
        'checkpoint': shown(file),
        'version': __version__,
        'strength': args.strength,
        'ensemble': args.ensemble,
        'tile': args.tile,
        'precision': precision,
    }
    return restorer, settings, about
