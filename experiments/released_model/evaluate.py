"""Measures a model that restores ten degradations, non-blind and blind.

    python experiments/released_model/evaluate.py CHECKPOINT [--photos data/photos] [--split test]
        [--cbsd68 DIR] [--live1 DIR] [--out FILE]

Photographs are those of ``tools/prepare_photos.py data/photos``, at half size (``cases.py``).
Non-blind ("told" in the results), an image is restored at the time step of its degradation; of two
degradations, at the step of either. Blind, at the step that the classifier decides on; a network
without a classifier, at the step for an unknown degradation ("blind"), if it has one. The file has
the figures of each photograph, of the input too.
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from cases import CBSD68, LIVE1, Case, paper_case, photo_cases
from figures import Figures
from record import columns, origin, sha256, write_record
from tqdm import tqdm

from dtir_mm.apis import load_restorer
from dtir_mm.apis.command_line import ToolParser, one_line_errors
from dtir_mm.engine.checkpoint import Checkpoint, load_checkpoint
from dtir_mm.models.preprocessor import to_uint8
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.task_timesteps import BLIND


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='a checkpoint, a work directory or a release file')
    parser.add_argument(
        '--photos', type=Path, default=Path('data/photos'), help='folder with val and test'
    )
    parser.add_argument('--split', choices=('val', 'test'), default='test')
    parser.add_argument('--cbsd68', help='folder of CBSD68, to measure noise of sigma 50')
    parser.add_argument('--live1', help='folder of LIVE1, to measure JPEG of quality 10')
    parser.add_argument('--out', type=Path, help='file of the results; default: only printed')
    return parser.parse_args()


@one_line_errors('evaluate')
def main() -> None:
    args = parse_args()
    about = origin(torch, np, cv2)
    checkpoint = load_checkpoint(args.checkpoint)
    subject = Subject(load_restorer(checkpoint))
    figures = Figures()
    cases = photo_cases(args.photos / args.split)
    papers = {CBSD68: args.cbsd68, LIVE1: args.live1}
    cases += [paper_case(folder, name) for name, folder in papers.items() if folder]
    about |= {**_identity(checkpoint), 'split': args.split, 'protocol': figures.protocol.name}
    with tqdm(total=sum(case.count for case in cases), unit='photo') as bar:
        rows = []
        for case in cases:
            bar.set_description(case.name)
            rows.append(measure(case, subject, figures, bar))
            bar.write(summary(rows[-1]))
    if args.out is not None:
        write_record(args.out, about, rows)
        print(f'written: {args.out}')


class Subject:
    """A restorer, given the task of an image, or blind."""

    def __init__(self, restorer: Restorer) -> None:
        self.restorer = restorer
        self.blind = restorer.classifier is not None or BLIND in restorer.timesteps
        if restorer.classifier is not None:
            restorer.set_inference('predict')
        elif self.blind:
            restorer.set_inference(restorer.timesteps[BLIND])

    def told(self, image: np.ndarray, task: str) -> tuple[np.ndarray, dict[str, Any]]:
        """The image (H, W, 3) restored at the step of a task, and the step."""
        t = self.restorer.timesteps[task]
        return self._restored(image, t), {'t': t}

    def unaided(self, image: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """The image restored blindly, and the decision ("blind": there is no classifier)."""
        batch = self._batch(image)
        (prediction,) = self.restorer.find_predictions(
            lambda top, bottom, left, right: batch[..., top:bottom, left:right], image.shape[:2]
        )
        decision = {'found': prediction.task or BLIND, 'probability': prediction.probability}
        return self._restored(image, prediction.t), {'t': prediction.t, **decision}

    def _restored(self, image: np.ndarray, t: int) -> np.ndarray:
        if t == 0:
            return image
        batch = self._batch(image)
        steps = torch.tensor([t], device=batch.device)
        return to_uint8(self.restorer.restore_images(batch, steps))[0]

    def _batch(self, image: np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        return self.restorer.from_uint8(pixels.to(next(self.restorer.parameters()).device))


def measure(case: Case, subject: Subject, figures: Figures, bar: tqdm) -> dict[str, Any]:
    """The figures of a case by method: one list each, in the order of "photos".

    Methods are "input", "told" (of two degradations "told <task>" each) and "blind".
    """
    results: dict[str, list[dict[str, Any]]] = {}
    photos = []

    def add(method: str, image: np.ndarray, clean: np.ndarray, more: dict[str, Any]) -> None:
        results.setdefault(method, []).append({**more, **figures(image, clean)})

    for photo, degraded, clean in case.pairs():
        photos.append(photo)
        add('input', degraded, clean, {})
        for task in case.tasks:
            restored, more = subject.told(degraded, task)
            add('told' if len(case.tasks) == 1 else f'told {task}', restored, clean, more)
        if subject.blind:
            restored, more = subject.unaided(degraded)
            add('blind', restored, clean, more)
        bar.update()
    measured = {method: columns(rows) for method, rows in results.items()}
    return {'domain': case.domain, 'tasks': case.tasks, 'photos': photos, **measured}


def summary(row: dict[str, Any]) -> str:
    """One line of mean PSNR by method."""
    means = [
        f'{method} {np.mean(figures["psnr"]):.2f}'
        for method, figures in row.items()
        if isinstance(figures, dict)
    ]
    return f'{"+".join(row["tasks"]):18} {row["domain"]:10} {", ".join(means)}'


def _identity(checkpoint: Checkpoint) -> dict[str, Any]:
    """What was measured: the file, its weights and its model."""
    model = json.dumps(checkpoint.config['model'], sort_keys=True)
    return {
        'file': checkpoint.path.name,
        'file_sha256': sha256(checkpoint.path),
        'model_sha256': hashlib.sha256(model.encode()).hexdigest(),
        'iter': checkpoint.meta.iter,
        'seed': checkpoint.meta.seed,
    }


if __name__ == '__main__':
    main()
