"""Restores an image, or every image in a folder."""

import argparse
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from dtir_mm.apis import load_restorer, restore
from dtir_mm.apis.command_line import ToolParser, add_config_arguments, at_least, one_line_errors
from dtir_mm.apis.deployed_restorer import DeployedBackbone
from dtir_mm.apis.restoring import require_step
from dtir_mm.datasets.image_folders import left_out_line, list_tree, no_image_in
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.files import names_full_disk, require_writable
from dtir_mm.image_io import note_lines, read_with_notes, save_image
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.names import shown
from dtir_mm.weights_file import is_deployed

_OVERLAP = 64  # of tiles, in pixels, unless they are smaller
_NAMED = 20


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument(
        'checkpoint',
        help='a checkpoint, the work directory of a run, a public file of weights, or a deployed '
        'network (.safetensors, .onnx)',
    )
    parser.add_argument(
        'input', type=Path, help='an image, or a folder of images and of folders of them'
    )
    parser.add_argument(
        'output', type=Path, help='the restored image, or a folder for them, with the same folders'
    )
    parser.add_argument(
        '--task', help='degradation; default: the one it was trained on, or the predicted one'
    )
    parser.add_argument('--t', type=int, help="time step to use instead of the task's")
    parser.add_argument(
        '--tile', type=at_least(2), default=1024, help='restore larger images in tiles of this side'
    )
    parser.add_argument('--ensemble', action='store_true', help='average over 4 flips (4x slower)')
    parser.add_argument(
        '--max-pixels', type=at_least(1), metavar='N', help='read images of up to N pixels'
    )
    add_config_arguments(parser)
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument('--overwrite', action='store_true', help='replace files that exist')
    existing.add_argument(
        '--skip-existing', action='store_true', help='skip images whose result exists, to continue'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with one_line_errors('restore'):
        plan, left_out = _plan(args.input, args.output)
        skipped = _existing(plan, args.overwrite, args.skip_existing)
        settings = {'tile': args.tile, 'ensemble': args.ensemble}
        if args.tile <= _OVERLAP:
            settings['tile_overlap'] = args.tile // 2
        checkpoint = None if is_deployed(args.checkpoint) else load_checkpoint(args.checkpoint)
        restorer = load_restorer(
            checkpoint or args.checkpoint, args.config, args.allow_imports, **settings
        )
        tasks: Sequence[str] = ()
        if checkpoint is not None:
            if warning := checkpoint.pretraining_warning:
                print(warning)
            tasks = checkpoint.meta.tasks
            del checkpoint  # as large as the restorer
        if isinstance(restorer.backbone, DeployedBackbone):
            restorer.backbone.require(args.task, args.t)
        t = args.t
        if t is None and not (args.task is None and _predicts(restorer)):
            t = _step(restorer, tasks, args.task)
        require_step(restorer, t)
        described = 'degradation predicted' if t is None else f't = {t}'
        require_writable(args.output if args.input.is_dir() else args.output.parent)
        todo = [(source, target) for source, target in plan.items() if target not in skipped]
        with tqdm(todo, unit='image', desc=described) as bar:
            done, notes, failed = _restore_files(restorer, bar, t, args.max_pixels)
    print(f'restored {done} image(s) to {shown(args.output)}')
    if skipped:
        print(f'skipped {len(skipped)} whose result exists')
    if left_out:
        print(left_out_line(args.input, left_out, _NAMED))
    for line in note_lines(notes):
        print(f'note: {line}')
    if failed:
        untried = len(todo) - done - len(failed)
        more = f', and {untried} not tried: free disk space and continue with --skip-existing'
        raise SystemExit(
            f'restore: not restored: {len(failed)} image(s){more if untried else ""}\n  '
            + '\n  '.join(failed)
        )


def _predicts(restorer: Restorer) -> bool:
    """Switches to blind restoration if the restorer has a classifier; returns whether it has."""
    if restorer.classifier is None:
        return False
    restorer.set_inference('predict')
    return True


def _step(restorer: Restorer, trained: Sequence[str], task: str | None) -> int:
    """The time step of the task; if None, of the only one that the restorer was trained on."""
    if task is not None:
        return restorer.timesteps[task]
    if restorer.timesteps.fixed is not None:
        return restorer.timesteps.fixed
    tasks = list(trained or restorer.timesteps.by_task)
    if len(tasks) == 1:
        return restorer.timesteps[tasks[0]]
    raise ValueError(f'this checkpoint knows {len(tasks)} tasks {tasks}: name one with --task')


def _restore_files(
    restorer: Restorer, files: Iterable[tuple[Path, Path]], t: int | None, max_pixels: int | None
) -> tuple[int, list[tuple[Path, str]], list[str]]:
    """Restores files; returns how many, notes on them, and the errors of the others."""
    done, notes, failed = 0, [], []
    for source, target in files:
        try:
            carried = _restore_file(restorer, source, target, t, max_pixels)
        except (OSError, ValueError) as error:  # the others are still restored
            failed.append(str(error))
            if names_full_disk(error):  # the others would fail as well
                break
            continue
        done += 1
        notes += [(source, note) for note in carried]
    return done, notes, failed


def _restore_file(
    restorer: Restorer, source: Path, target: Path, t: int | None, max_pixels: int | None
) -> list[str]:
    """Restores one image; returns notes on information of the file that the result lacks."""
    image, notes = read_with_notes(source, max_pixels)
    try:
        restored = restore(restorer, image, t)
        del image  # as large as the result
    except (ArithmeticError, MemoryError, RuntimeError, ValueError) as error:
        reason = str(error).partition('\n')[0] or type(error).__name__
        raise ValueError(f'{shown(source)} cannot be restored: {reason}') from error
    save_image(target, restored)
    return notes


def _plan(source: Path, target: Path) -> tuple[dict[Path, Path], list[Path]]:
    """The PNG to write for each image, in the same folders; and the files that are not images."""
    if not source.is_dir():
        into_folder = target.is_dir() or not target.suffix
        return {source: target / f'{source.stem}.png' if into_folder else target}, []
    images, left_out = list_tree(source, without=target)
    if not images:
        raise FileNotFoundError(no_image_in(source, left_out))
    plan = {file: target / file.relative_to(source).with_suffix('.png') for file in images}
    sources: dict[Path, Path] = {}
    for file, result in plan.items():
        if (first := sources.setdefault(result, file)) is not file:
            raise ValueError(f'{shown(first)} and {shown(file)} would both become {shown(result)}')
    return plan, left_out


def _existing(plan: dict[Path, Path], overwrite: bool, skip: bool) -> set[Path]:
    """The results that exist and are kept."""
    there = [pair for pair in plan.items() if os.path.exists(pair[1])]  # Path.exists() may raise
    if overwrite or not there:
        return set()
    if not skip:
        raise ValueError(
            f'{shown(there[0][1])} exists ({len(there)} of {len(plan)} results do): give '
            f'--overwrite to replace them, or --skip-existing to restore the others'
        )
    for source, result in there:
        if os.path.samefile(source, result):
            raise ValueError(f'{shown(source)} would be its own result: use another output folder')
    return {result for _, result in there}


if __name__ == '__main__':
    main()
