"""Restores an image, or every image of a folder: no truth, no config needed."""

import argparse
from pathlib import Path

from tqdm import tqdm

from dtir_mm.apis import load_restorer, restore
from dtir_mm.datasets.base_dataset import list_images
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.image_io import read_image, save_image


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='a checkpoint, or the work directory of a run')
    parser.add_argument('input', type=Path, help='an image or a folder of images')
    parser.add_argument('output', type=Path, help='the restored image, or a folder for them')
    parser.add_argument('--task', help='which degradation; default: the one it was trained on')
    parser.add_argument('--t', type=int, help="time step to use instead of the task's")
    parser.add_argument('--tile', type=int, default=1024, help='restore larger images in tiles')
    parser.add_argument('--config', help="config to build from, instead of the checkpoint's own")
    parser.add_argument(
        '--allow-imports',
        action='store_true',
        help="import the modules that the checkpoint's config names (your own backbone)",
    )
    parser.add_argument('--overwrite', action='store_true', help='replace files that exist')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    restorer = load_restorer(args.checkpoint, args.config, args.allow_imports, tile=args.tile)
    t = args.t or restorer.timesteps[args.task or _only_task(args.checkpoint)]
    for source, target in tqdm(_plan(args.input, args.output), unit='image', desc=f't = {t}'):
        if target.exists() and not args.overwrite:
            raise SystemExit(f'{target} exists; give --overwrite to replace it')
        save_image(target, restore(restorer, read_image(source), t))
    print(f'restored to {args.output}')


def _only_task(checkpoint: str) -> str:
    tasks = load_checkpoint(checkpoint)['meta']['tasks']
    if len(tasks) == 1:
        return tasks[0]
    raise SystemExit(f'this checkpoint knows {len(tasks)} tasks {tasks}: name one with --task')


def _plan(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """Which file becomes which; a folder's images keep their names, as PNG."""
    if source.is_dir():
        return [(file, target / f'{file.stem}.png') for file in list_images(source)]
    return [(source, target if target.suffix else target / f'{source.stem}.png')]


if __name__ == '__main__':
    main()
