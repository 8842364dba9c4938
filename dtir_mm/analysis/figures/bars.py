"""What pre-training changes, in bars, as in Figure 3a of the paper."""

import math

from dtir_mm.analysis.figures.scores import psnr_of_methods
from dtir_mm.analysis.figures.style import Drawn, bar_style, domain_title, legend, panels
from dtir_mm.analysis.run_files import RunFiles

_GROUP = 0.8  # width of all bars of a task; tasks are 1 apart


def pretraining_figure(runs: RunFiles) -> Drawn:
    """PSNR by task and method, on source and on unseen images, with the numbers on the bars.

    The axis does not start at 0 dB, where differences of 1 dB would be invisible, but below the
    lowest value, which its label states; the numbers are there to compare heights by.
    """
    psnr = psnr_of_methods(runs.evaluations)
    methods = list(dict.fromkeys(name for values in psnr.values() for name in values))
    tasks = sorted({t for values in psnr.values() for found in values.values() for t in found})
    width = _GROUP / len(methods)
    size = max(3.2, 1.2 + 0.42 * len(methods) * len(tasks))
    figure, axes = panels([domain_title(domain) for domain in psnr], size, 3.4)
    for axis, values in zip(axes, psnr.values(), strict=True):
        for i, name in enumerate(methods):
            found = values.get(name, {})
            places = [tasks.index(task) + (i - (len(methods) - 1) / 2) * width for task in found]
            bars = axis.bar(places, list(found.values()), width, label=name, **bar_style(i))
            axis.bar_label(bars, fmt='%.1f', padding=2, fontsize=8, rotation=90)
        heights = [y for found in values.values() for y in found.values()]
        low, high = min(heights), max(heights)
        floor = math.floor(low - 0.1 * (high - low) - 0.5)
        axis.set_ylim(floor, high + 0.18 * (high - floor))
        axis.set_xticks(range(len(tasks)), tasks)
        axis.set_ylabel(f'PSNR in dB (axis starts at {floor} dB)')
    legend(figure, 4)
    return Drawn(figure)
