"""Shallow and deep features of networks, as in Figure 9 of the paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from dtir_mm.analysis.figures.networks import Network, as_images, load_networks, pairs
from dtir_mm.analysis.figures.style import Drawn, domain_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = ('input', 'first block', 'last block', '|restored - input|', '|ground truth - input|')
_SIDE = 1.6  # inches of a panel
_QUANTILE = 0.99


@dataclass(frozen=True)
class Row:
    """What one network makes of one image.

    Args:
        label: network, domain and time step.
        image: the input, (3, H, W) in [0, 1].
        maps: mean absolute activation over the channels of the first and last block, (h, w), then
            mean absolute residual over R, G and B, predicted and true, (H, W) of [0, 1].
    """

    label: str
    image: Tensor
    maps: tuple[Tensor, ...]


def feature_rows(networks: Sequence[Network], allow_imports: bool) -> tuple[list[Row], str]:
    """A row per domain and network, and the task.

    All networks get the same images: the first ones, of each domain, of the first task in the test
    data of the first network's config.

    Raises:
        KeyError: a network has no time step for the task.
        ValueError: see ``Network``.
    """
    samples: dict[str, dict] = {}
    for sample in pairs(networks[0].test_data(allow_imports), 1):
        if not samples or sample['task'] == next(iter(samples.values()))['task']:
            samples.setdefault(sample['domain'], sample)
    if not samples:
        raise ValueError(f'the test data of {networks[0].checkpoint.path} has no degraded image')
    rows = []
    for domain, sample in samples.items():
        degraded, clean = as_images(sample)
        for network in networks:
            t = network.restorer.timesteps[sample['task']]
            first, *_, last = network.blocks
            restored, features = network.run(degraded, t, [first, last])
            shallow, deep = (output.abs().mean(0) for output in features)
            residuals = ((image - degraded).abs().mean(0) for image in (restored, clean))
            label = f'{domain_title(domain)}\n{network.name}\nt = {t}'
            rows.append(Row(label, degraded, (shallow, deep, *residuals)))
    return rows, sample['task']


def feature_figure(folders: Sequence[Path], allow_imports: bool) -> Drawn:
    """Rows of images; a column has one colour scale, and both residuals share one."""
    networks = load_networks(folders, allow_imports)
    rows, task = feature_rows(networks, allow_imports)
    notes = [
        f'{network.name}: first block {network.blocks[0]}, last block {network.blocks[-1]}'
        for network in networks
    ]
    return Drawn(_draw(rows, task), notes)


def _draw(rows: Sequence[Row], task: str) -> 'Figure':
    from matplotlib.figure import Figure

    height = _SIDE * max(row.image.shape[1] / row.image.shape[2] for row in rows)
    size = (_SIDE * len(_COLUMNS) + 0.6, height * len(rows) + 1.1)
    figure = Figure(size, layout='constrained')
    axes = figure.subplots(len(rows), len(_COLUMNS), squeeze=False)
    columns = list(zip(*(row.maps for row in rows), strict=True))
    tops = [max(map(_top, column)) for column in columns]
    tops[2:] = [max(tops[2:])] * 2
    for row, line in zip(rows, axes, strict=True):
        line[0].imshow(row.image.permute(1, 2, 0).numpy())
        line[0].set_ylabel(row.label, fontsize=8)
        for axis, values, top in zip(line[1:], row.maps, tops, strict=True):
            axis.imshow(values.numpy(), cmap='viridis', vmin=0, vmax=top)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for axis, title in zip(axes[0], _COLUMNS, strict=True):
        axis.set_title(title, fontsize=8)
    for part, label in (
        (axes[:, 1:2], 'mean |activation|'),
        (axes[:, 2:3], 'mean |activation|'),
        (axes[:, 3:], 'mean over R, G, B in [0, 1]'),
    ):
        _add_scale(figure, part, label)
    figure.suptitle(task)
    return figure


def _top(values: Tensor) -> float:
    """The end of a colour scale: few values lie above it, which would darken all others."""
    return float(values.quantile(_QUANTILE))


def _add_scale(figure: 'Figure', axes: np.ndarray, label: str) -> None:
    """Below some columns of axes, (rows, columns), that share a scale."""
    from matplotlib.ticker import MaxNLocator

    bar = figure.colorbar(
        axes[0, 0].images[0], ax=axes, location='bottom', aspect=12 * axes.shape[1], extend='max',
        ticks=MaxNLocator(3),
    )  # fmt: skip
    bar.set_label(label, fontsize=8)
