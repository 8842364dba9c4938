"""The time step of each task."""

from collections.abc import Collection, Iterable, Mapping

from dtir_mm.matching.table4 import PAPER_NUM_STEPS, PAPER_TIMESTEPS
from dtir_mm.matching.timesteps_file import load_timesteps

CLEAN = 'clean'
BLIND = 'blind'  # the task of the time step for an unknown degradation, if a model has one


class TaskTimesteps:
    """The matching time step t_mat of each task; that of "clean", nothing to restore, is 0.

    Args:
        spec: "paper" (Table 4, which is for T = 50 only), "fixed:k" (one step for all tasks), the
            path of a JSON file of ``match_timesteps``, or a dict from task to step.
        num_steps: T; steps lie in 1..T.

    Raises:
        FileNotFoundError: there is no such JSON file.
        ValueError: the spec is none of these, the file is for another T, or a step is not in 1..T.
    """

    def __init__(self, spec: str | Mapping[str, int], num_steps: int) -> None:
        self.fixed: int | None = None
        self.by_task: dict[str, int] = {}
        if isinstance(spec, Mapping):
            self.by_task = dict(spec)
        elif spec == 'paper':
            # Empty at another T: pre-training needs no steps.
            self.by_task = dict(PAPER_TIMESTEPS) if num_steps == PAPER_NUM_STEPS else {}
        elif spec.startswith('fixed:') and spec.removeprefix('fixed:').isdigit():
            self.fixed = int(spec.removeprefix('fixed:'))
        elif spec.endswith('.json'):
            self.by_task = load_timesteps(spec, num_steps)
        else:
            raise ValueError(
                f'timesteps={spec!r} must be "paper", "fixed:k", the path of a .json file, or a '
                f'dict from task to time step'
            )
        steps = {'fixed': self.fixed} if self.fixed is not None else self.by_task
        for task, step in steps.items():
            if type(step) is not int or not 1 <= step <= num_steps:
                raise ValueError(f'timesteps: {task} has t={step!r}; it must lie in 1..{num_steps}')

    def __contains__(self, task: str) -> bool:
        """Whether the task has a time step."""
        return task == CLEAN or self.fixed is not None or task in self.by_task

    def __getitem__(self, task: str) -> int:
        """t_mat of a task.

        Raises:
            KeyError: it has none; the message lists the tasks that have one.
        """
        if task == CLEAN:
            return 0
        if self.fixed is not None:
            return self.fixed
        if task not in self:
            known = ', '.join(f'{name} (t={step})' for name, step in self.by_task.items())
            none = f'no task (Table 4 is for T={PAPER_NUM_STEPS})'
            raise KeyError(
                f'unknown task {task!r}: time steps are known for {known or none}. Match it with '
                f'dtir-mm match, or set timesteps=dict({task}=t); to replace those of a '
                f'base config, dict(_delete_=True, {task}=t)'
            )
        return self.by_task[task]


def untrained_warning(
    source: str, trained: Collection[str], tasks: Iterable[str | None]
) -> str | None:
    """A warning against restoring ``tasks`` with weights for others; None if there are none.

    None, "blind" and "clean" are left out.

    Args:
        source: of the weights.
        trained: the tasks that they were trained for; none if it is not known.
        tasks: that images are to be restored from.
    """
    others = [task for task in tasks if task and task not in (BLIND, CLEAN, *trained)]
    if not trained or not others:
        return None
    return (
        f'{source} was trained for {", ".join(trained)}, not for {", ".join(others)}: '
        f'expect poor images'
    )
