"""Time steps that are not searched for: Table 4, a constant, or a random one."""

import numpy as np

from dtir_mm.matching.table4 import PAPER_NUM_STEPS, PAPER_TIMESTEPS
from dtir_mm.matching.timestep_match import TimestepMatch
from dtir_mm.registry import CRITERIA


def method_names() -> list[str]:
    """The registered criteria, and the methods of ``given_timestep``."""
    CRITERIA.import_from_location()
    return [*CRITERIA.module_dict, 'paper', 'random', 'fixed:k']


def given_timestep(method: str, task: str, num_steps: int, seed: int) -> TimestepMatch:
    """The time step of a task by "paper" (Table 4), "fixed:k" or "random".

    Raises:
        ValueError: the method is none of these, Table 4 does not have the task or this T, or k lies
            outside 1..T.
    """
    if method == 'paper':
        if num_steps != PAPER_NUM_STEPS:
            raise ValueError(f'Table 4 is for T={PAPER_NUM_STEPS}, the schedule has T={num_steps}')
        if task not in PAPER_TIMESTEPS:
            raise ValueError(f'{task!r} is not in Table 4, which has {", ".join(PAPER_TIMESTEPS)}')
        t = PAPER_TIMESTEPS[task]
    elif method == 'random':
        t = int(np.random.default_rng([seed, *task.encode()]).integers(1, num_steps + 1))
    elif method.startswith('fixed:') and method.removeprefix('fixed:').isdigit():
        t = int(method.removeprefix('fixed:'))
    else:
        raise ValueError(f'method {method!r} must be one of {", ".join(method_names())}')
    if not 1 <= t <= num_steps:
        raise ValueError(f'method {method!r} gives t={t}; it must lie in 1..{num_steps}')
    return TimestepMatch(t, (t, t), t, 1.0, 'given', method, [], 0)
