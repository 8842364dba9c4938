"""The task schedule of time-sequential incremental training, TIT (section 3.3, Alg. 4, 5).

Tasks join one after another in order of their matched time steps: ascending in the text and Alg. 5,
although the header of the algorithm's loop descends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dtir_mm.randomness import generator

ORDERS = ('asc', 'desc', 'random')
DATA = ('cumulative', 'sequential', 'replay:q', 'joint')


@dataclass(frozen=True)
class TaskSchedule:
    """The stages of a run of ``max_iters`` updates, as a pure function of the iteration.

    Args:
        order: the tasks in the order in which they join.
        data: what a stage draws from: "cumulative", all tasks so far in equal shares; "sequential",
            only the new one (Alg. 4 taken literally); "replay:q", the new one, and all former
            ones with a share q of the samples, 0 < q < 1; "joint", all tasks in a single stage (the
            ablation "w/o TIT").
        max_iters: updates of all stages together.

    Raises:
        ValueError: ``data`` is none of these, or the stages cannot be of equal length.
    """

    order: tuple[str, ...]
    data: str
    max_iters: int

    def __post_init__(self) -> None:
        if self.data not in ('cumulative', 'sequential', 'joint'):
            self._replayed()
        if self.max_iters % self.num_stages:
            raise ValueError(
                f'train_cfg.max_iters={self.max_iters} must be a multiple of the '
                f'{self.num_stages} stages of {", ".join(self.order)}'
            )

    @property
    def num_stages(self) -> int:
        """One for each task, or a single one of all tasks."""
        return 1 if self.data == 'joint' else len(self.order)

    @property
    def stage_length(self) -> int:
        """Updates of each stage."""
        return self.max_iters // self.num_stages

    def stage_of(self, iteration: int) -> int:
        """The stage, counted from 0, that an iteration belongs to."""
        return min(iteration // self.stage_length, self.num_stages - 1)

    def begins_at(self, iteration: int) -> bool:
        """Whether a stage after the first begins with an iteration, or the last has just ended."""
        return iteration > 0 and iteration % self.stage_length == 0

    def joined(self, iteration: int) -> tuple[str, ...]:
        """The tasks that have joined by an iteration, the newest last."""
        return self.order if self.data == 'joint' else self.order[: self.stage_of(iteration) + 1]

    def tasks_at(self, iteration: int) -> list[str]:
        """The tasks that an iteration draws from."""
        return list(self.weights(iteration))

    def weights(self, iteration: int) -> dict[str, float]:
        """The share of each task that an iteration draws from; they sum to one."""
        *former, new = self.joined(iteration)
        if self.data == 'sequential' or not former:
            return {new: 1.0}
        if self.data in ('cumulative', 'joint'):
            return dict.fromkeys([*former, new], 1 / (len(former) + 1))
        q = self._replayed()
        return {task: q / len(former) for task in former} | {new: 1 - q}

    def _replayed(self) -> float:
        """The q of "replay:q"."""
        kind, _, text = self.data.partition(':')
        try:
            q = float(text)
        except ValueError:
            q = 0.0
        if kind != 'replay' or not 0 < q < 1:
            raise ValueError(f'data={self.data!r} must be one of {", ".join(DATA)}, with 0 < q < 1')
        return q


def task_order(timesteps: Mapping[str, int], order: str | Sequence[str], seed: int) -> list[str]:
    """Tasks in the order in which they join.

    Args:
        timesteps: t_mat of each task.
        order: "asc", "desc", "random" (a function of the seed), or the tasks themselves in order.
        seed: the run's seed.

    Raises:
        ValueError: there is no such order, or it does not list the tasks of ``timesteps``.
    """
    tasks = sorted(timesteps, key=lambda task: (timesteps[task], task))
    if not isinstance(order, str):
        if sorted(order) != sorted(tasks):
            raise ValueError(
                f'order={list(order)} must name each of the tasks {", ".join(tasks)} once'
            )
        return list(order)
    if order not in ORDERS:
        raise ValueError(f'order={order!r} must be one of {ORDERS}, or a list of tasks')
    if order == 'random':
        return [tasks[i] for i in generator(seed, 'task order').permutation(len(tasks))]
    return tasks if order == 'asc' else tasks[::-1]
