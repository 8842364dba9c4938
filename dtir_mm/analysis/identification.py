"""How often a restorer that is not told the degradation finds its time step."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any


def identification(
    told: Sequence[dict[str, Any]], blind: Sequence[dict[str, Any]]
) -> dict[tuple[str, str], float]:
    """Share of the images of each (task, domain) whose time step was found, 0 to 1.

    Args:
        told: rows of ``RestorationMetric``, restored at the time steps of their tasks.
        blind: those of the same images, restored at the steps that were found.
    """
    steps = {(row['task'], row['domain'], row['path']): row['t'] for row in told}
    hits: dict[tuple[str, str], list[bool]] = {}
    for row in blind:
        task, domain = row['task'], row['domain']
        hits.setdefault((task, domain), []).append(row['t'] == steps[task, domain, row['path']])
    return {group: fmean(found) for group, found in hits.items()}


def format_identification(found: dict[tuple[str, str], float]) -> str:
    """One line a domain: the unweighted mean over its tasks, and each task's share in percent."""
    lines = []
    for domain in dict.fromkeys(domain for _, domain in found):
        shares = {task: share for (task, other), share in found.items() if other == domain}
        each = ', '.join(f'{task} {share:.0%}' for task, share in shares.items())
        lines.append(f'time step found, {domain}: {fmean(shares.values()):.1%} ({each})')
    return '\n'.join(lines)
