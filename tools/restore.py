"""Restores an image, or every image of a folder: no ground truth, no config needed."""

import argparse
from pathlib import Path

from tqdm import tqdm

from dtir_mm.apis import load_restorer, restore
from dtir_mm.apis.command_line import add_config_arguments, one_line_errors
from dtir_mm.datasets.base_dataset import list_images
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.engine.checkpoint_meta import meta_of, not_fine_tuned
from dtir_mm.files import require_new
from dtir_mm.image_io import read_image, save_image
from dtir_mm.models.restorers.restorer import Restorer

_OVERLAP = 64  # of tiles, in pixels, unless they are smaller


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'checkpoint', help='a checkpoint, the work directory of a run, or a public file of weights'
    )
    parser.add_argument(
        'input', type=Path, help='an image or a folder of images (not of folders of them)'
    )
    parser.add_argument('output', type=Path, help='the restored image, or a folder for them')
    parser.add_argument(
        '--task', help='which degradation; default: the one it was trained on, or found out'
    )
    parser.add_argument('--t', type=int, help="time step to use instead of the task's")
    parser.add_argument('--tile', type=int, default=1024, help='restore larger images in tiles')
    parser.add_argument(
        '--ensemble',
        action='store_true',
        help='the mean over the image and its flips: 4 x the time',
    )
    add_config_arguments(parser)
    parser.add_argument('--overwrite', action='store_true', help='replace files that exist')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with one_line_errors('restore'):
        plan = _plan(args.input, args.output, args.overwrite)
        settings = {'tile': args.tile, 'ensemble': args.ensemble}
        if args.tile <= _OVERLAP:
            settings['tile_overlap'] = args.tile // 2
        restorer = load_restorer(args.checkpoint, args.config, args.allow_imports, **settings)
        if caution := not_fine_tuned(load_checkpoint(args.checkpoint), args.checkpoint):
            print(caution)
        t = args.t
        if t is None and not (args.task is None and _finds_out(restorer)):
            t = _step(restorer, args.checkpoint, args.task)
        described = 'degradation unknown' if t is None else f't = {t}'
        broken = []
        for source, target in tqdm(plan, unit='image', desc=described):
            try:
                image = read_image(source)
            except ValueError as error:  # the others are restored all the same
                broken.append(str(error))
                continue
            save_image(target, restore(restorer, image, t))
    print(f'restored {len(plan) - len(broken)} image(s) to {args.output}')
    if broken:
        raise SystemExit('restore: not restored:\n  ' + '\n  '.join(broken))


def _finds_out(restorer: Restorer) -> bool:
    """Whether the restorer can do without being told the task, which it then does."""
    if restorer.classifier is None:
        return False
    restorer.set_inference('predict')
    return True


def _step(restorer: Restorer, checkpoint: str, task: str | None) -> int:
    """The time step of a task, or of the only one that there is."""
    if task is not None:
        return restorer.timesteps[task]
    if restorer.timesteps.fixed is not None:
        return restorer.timesteps.fixed
    tasks = meta_of(load_checkpoint(checkpoint)).get('tasks') or list(restorer.timesteps.by_task)
    if len(tasks) == 1:
        return restorer.timesteps[tasks[0]]
    raise ValueError(f'this checkpoint knows {len(tasks)} tasks {tasks}: name one with --task')


def _plan(source: Path, target: Path, overwrite: bool) -> list[tuple[Path, Path]]:
    """Which file becomes which; a folder's images keep their names, as PNG."""
    if not source.is_dir():
        into_folder = target.is_dir() or not target.suffix
        plan = [(source, target / f'{source.stem}.png' if into_folder else target)]
    else:
        plan = [(file, target / f'{file.stem}.png') for file in list_images(source)]
    sources: dict[Path, Path] = {}
    for file, result in plan:
        if result in sources:
            raise ValueError(f'{sources[result]} and {file} would both become {result}')
        require_new(result, overwrite)
        sources[result] = file
    return plan


if __name__ == '__main__':
    main()
