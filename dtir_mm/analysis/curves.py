"""The curves that matched time steps were read from."""

from collections.abc import Mapping
from pathlib import Path

from dtir_mm.diffusion.timestep_matching import TimestepMatch


def plot_curves(matches: Mapping[str, TimestepMatch], path: str | Path) -> None:
    """Saves one panel a task: error over t, the matched step, and its 90 % interval as a band."""
    from matplotlib.figure import Figure

    columns = min(len(matches), 5)
    rows = -(-len(matches) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.6 * rows), layout='constrained')
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for panel in panels[len(matches) :]:
        panel.set_visible(False)
    for panel, (task, match) in zip(panels, matches.items(), strict=False):
        steps, errors = zip(*match.curve, strict=True)
        panel.axvspan(*match.interval, alpha=0.2, label='90 % interval')
        panel.plot(steps, errors, marker='.', color='black')
        panel.axvline(match.t_mat, linestyle='--', label=f't_mat = {match.t_mat}')
        panel.set(title=f'{task} ({match.status})', xlabel='time step t', ylabel='relative error')
        panel.legend(fontsize='small')
    figure.savefig(path, dpi=120)
