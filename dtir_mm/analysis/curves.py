"""The plot of a matching: error over time step, the matched step and its interval."""

from collections.abc import Mapping
from pathlib import Path

from dtir_mm.matching.timestep_match import TimestepMatch

_COLUMNS = 5


def plot_curves(matches: Mapping[str, TimestepMatch], path: str | Path) -> None:
    """Saves one panel per task: error over t, the matched step, and its 90 % interval as a band.

    All matches must have a curve ("given" ones have none); the suffix determines the format.
    """
    from matplotlib.figure import Figure

    columns = min(len(matches), _COLUMNS)
    rows = -(-len(matches) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.8 * rows), layout='constrained')
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(matches) :]:
        panel.set_visible(False)
    for panel, (task, match) in zip(panels, matches.items(), strict=False):
        steps, errors = zip(*match.curve, strict=True)
        low, high = match.interval
        label = f't_mat = {match.t_mat}'
        if match.fallback == 'paper':
            label += ', Table 4'
        if match.outside_interval:
            label += '\noutside the interval'
        panel.axvspan(low - 0.5, high + 0.5, alpha=0.2, label=f'90 %: {low} to {high}')
        panel.plot(steps, errors, marker='.', color='black')
        panel.axvline(match.t_mat, linestyle='--', label=label)
        panel.set(title=f'{task} ({match.status})', xlabel='time step t', ylabel='relative error')
        panel.title.set_fontsize('medium')
        panel.legend(fontsize='small')
    figure.savefig(path, dpi=120)
