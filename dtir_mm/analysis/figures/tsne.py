"""How far features of a unified network separate degradations, as in Figure 10 of the paper.

t-SNE finds clusters in almost anything, so the separation is measured in the space of the features:
the silhouette score, 1 for tasks far apart from each other, 0 for mixed ones. A network that gets
each degradation's own t can separate its features by t alone, so that all are shown at one t too.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dtir_mm.analysis.figures.networks import Network, as_images, load_networks, pairs
from dtir_mm.analysis.figures.style import Drawn, legend, line_style, panels

_IMAGES = 32  # of each task at most
_SEED = 0
_PERPLEXITY = 30  # scikit-learn's default; it must be below the number of points


@dataclass(frozen=True)
class Features:
    """Pooled deep features of test images.

    Args:
        title: which time steps the network got.
        tasks: of each image.
        values: mean of each channel of the last block over the image, (images, C).
    """

    title: str
    tasks: list[str]
    values: np.ndarray

    @property
    def silhouette(self) -> float:
        """Separation of the tasks by Euclidean distance, -1 to 1 (scikit-learn)."""
        from sklearn.metrics import silhouette_score

        return float(silhouette_score(self.values, self.tasks))

    @property
    def plane(self) -> np.ndarray:
        """t-SNE of the features, (images, 2), from a fixed random state."""
        from sklearn.manifold import TSNE

        perplexity = min(_PERPLEXITY, (len(self.tasks) - 1) / 3)
        return TSNE(perplexity=perplexity, random_state=_SEED).fit_transform(self.values)


def deep_features(network: Network, allow_imports: bool) -> tuple[Features, Features]:
    """Features of the test images of the network's config: each task at its own t, and all at one.

    Of each task, the first 32 images of its first domain are used. The one t is the median of the
    tasks' steps, a step that one of them has.

    Raises:
        KeyError: a task has no time step.
        ValueError: there are fewer than two tasks, or one has fewer than two images.
    """
    samples = [
        (sample['task'], sample['domain'], as_images(sample)[0])
        for sample in pairs(network.test_data(allow_imports), _IMAGES)
    ]
    first: dict[str, str] = {}
    for task, domain, _ in samples:
        first.setdefault(task, domain)
    samples = [sample for sample in samples if sample[1] == first[sample[0]]]
    tasks = [task for task, _, _ in samples]
    if len(first) < 2 or min(map(tasks.count, first)) < 2:
        counts = ', '.join(f'{task} {tasks.count(task)}' for task in first)
        raise ValueError(
            f'{network.checkpoint.path}: the test data must have at least two tasks of two images '
            f'each, but has {counts or "none"}'
        )
    steps = {task: network.restorer.timesteps[task] for task in first}
    one = sorted(steps.values())[len(steps) // 2]
    images = [image for _, _, image in samples]

    def features(title: str, steps: Mapping[str, int]) -> Features:
        bar = tqdm(zip(tasks, images, strict=True), desc=title, total=len(tasks), unit='image')
        last = network.blocks[-1:]
        pooled = [network.run(image, steps[task], last)[1][0].mean((1, 2)) for task, image in bar]
        return Features(title, tasks, np.stack([vector.numpy() for vector in pooled]))

    return features('each task at its own t', steps), features(
        f'all tasks at t = {one}', dict.fromkeys(first, one)
    )


def tsne_figure(folders: Sequence[Path], allow_imports: bool) -> Drawn:
    """Two panels of points, one per image, with the silhouette score of the features.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: there are several folders, or see ``deep_features``.
    """
    if importlib.util.find_spec('sklearn') is None:
        raise ImportError('t-SNE needs scikit-learn: pip install scikit-learn')
    if len(folders) > 1:
        raise ValueError(f'tsne shows the features of one network, got {len(folders)} folders')
    (network,) = load_networks(folders, allow_imports)
    found = deep_features(network, allow_imports)
    lines = [f'{each.title}: silhouette {each.silhouette:.2f}' for each in found]
    figure, axes = panels([line.replace(': ', '\n') for line in lines], 3.4, 3.6)
    for axis, features in zip(axes, found, strict=True):
        plane, tasks = features.plane, np.array(features.tasks)
        for i, task in enumerate(dict.fromkeys(features.tasks)):
            label = f'{task} (t = {network.restorer.timesteps[task]})'
            style = line_style(i) | {'linestyle': 'none', 'fillstyle': 'none'}
            style |= {'markersize': 5, 'markeredgewidth': 0.7}
            axis.plot(*plane[tasks == task].T, **style, label=label)
        axis.set(xticks=[], yticks=[])
    legend(figure, 4)
    return Drawn(figure, [*lines, f'features: {network.blocks[-1]} of {network.name}'])
