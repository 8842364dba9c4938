"""The result of matching: a time step, its interval, and where it comes from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from dtir_mm.matching.table4 import PAPER_NUM_STEPS, PAPER_TIMESTEPS


@dataclass(frozen=True)
class TimestepMatch:
    """The matching time step of one task.

    Args:
        t_mat: the matching time step, 1..T.
        interval: 90 % bootstrap interval of the best step; 1..T if the curve is flat.
        median: bootstrap median of the best step.
        confidence: bootstrap probability that the best step lies within 2 of the one found; if the
            curve is flat, the share of 1..T that does.
        status: "identified"; "unidentified", see ``reason``; or "given" if there was no search.
        method: name of the criterion, "paper", "random" or "fixed:k".
        curve: evaluated time steps and their mean relative errors.
        n: number of images.
        fallback: "paper" if ``t_mat`` is the value of Table 4 instead of the one found, else None.
        reason: why it is unidentified, else None.
    """

    t_mat: int
    interval: tuple[int, int]
    median: int
    confidence: float
    status: str
    method: str
    curve: list[tuple[int, float]]
    n: int
    fallback: str | None = None
    reason: str | None = None

    @property
    def outside_interval(self) -> bool:
        """Whether ``t_mat`` lies outside its own interval; only a value of Table 4 can."""
        low, high = self.interval
        return not low <= self.t_mat <= high

    def or_table4(self, task: str, num_steps: int) -> 'TimestepMatch':
        """The match, with the task's value of Table 4 if it is unidentified and T is 50."""
        in_table = num_steps == PAPER_NUM_STEPS and task in PAPER_TIMESTEPS
        if self.status != 'unidentified' or not in_table:
            return self
        return replace(self, t_mat=PAPER_TIMESTEPS[task], fallback='paper')

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``write_timesteps``."""
        return asdict(self) | {'outside_interval': self.outside_interval}

    @classmethod
    def from_json(cls, match: Mapping[str, Any]) -> 'TimestepMatch':
        """The match of ``to_json``; files of older versions have fewer keys."""
        names = {field.name for field in fields(cls)} & match.keys()
        known = {name: match[name] for name in names}
        return cls(**known | {'interval': tuple(match['interval'])})


def describe_match(match: Mapping[str, Any]) -> str:
    """A match in words, such as "t_mat = 9 (90 % interval 8..12), identified".

    Args:
        match: ``TimestepMatch.to_json()`` or an entry of a file; "t_mat", "interval" and "status"
            are required, "fallback" and "reason" optional.
    """
    t, (low, high), status = match['t_mat'], match['interval'], match['status']
    if status == 'given':
        return f't_mat = {t}, given'
    source = 'Table 4; ' if match.get('fallback') == 'paper' else ''
    outside = '' if low <= t <= high else ' does not contain it'
    why = f': {match["reason"]}' if match.get('reason') else ''
    return f't_mat = {t} ({source}90 % interval {low}..{high}{outside}), {status}{why}'
