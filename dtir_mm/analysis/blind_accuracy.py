"""How often blind restoration predicts the degradation's time step correctly."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any


def blind_accuracy(
    non_blind: Sequence[dict[str, Any]], blind: Sequence[dict[str, Any]]
) -> dict[tuple[str, str], float]:
    """Share of the images of each (task, domain) whose time step was predicted, 0 to 1.

    Args:
        non_blind: rows of ``RestorationMetric``, restored at the time steps of their tasks.
        blind: rows of the same images, restored at the predicted time steps.

    Raises:
        KeyError: an image of ``blind`` is not in ``non_blind``.
    """
    steps = {(row['task'], row['domain'], row['path']): row['t'] for row in non_blind}
    hits: dict[tuple[str, str], list[bool]] = {}
    for row in blind:
        task, domain = row['task'], row['domain']
        hits.setdefault((task, domain), []).append(row['t'] == steps[task, domain, row['path']])
    return {group: fmean(found) for group, found in hits.items()}


def format_blind_accuracy(accuracy: dict[tuple[str, str], float]) -> str:
    """One line per domain: the unweighted mean over its tasks, and each task, in percent."""
    lines = []
    for domain in dict.fromkeys(domain for _, domain in accuracy):
        shares = {task: share for (task, other), share in accuracy.items() if other == domain}
        each = ', '.join(f'{task} {share:.0%}' for task, share in shares.items())
        lines.append(f'time step predicted, {domain}: {fmean(shares.values()):.1%} ({each})')
    return '\n'.join(lines)
