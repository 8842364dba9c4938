"""Which tasks are trained when: time-sequential incremental training, TIT (section 3.3, Alg. 4, 5).

Tasks join one after another in order of their matched time steps, as a diffusion passes them; the
text and Alg. 5 ascend, whatever the header of its loop says (method.md 4.1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dtir_mm.randomness import generator

ORDERS = ('asc', 'desc', 'random')
DATA = ('cumulative', 'sequential', 'replay:q', 'joint')


@dataclass(frozen=True)
class TaskSchedule:
    """The stages of a run of ``max_iters`` updates, as a function of the iteration alone.

    Args:
        order: the tasks in the order in which they join.
        data: what a stage draws from: "cumulative", all tasks so far alike; "sequential", the new
            one alone (Alg. 4 to the letter); "replay:q", the new one, and the former ones together
            with a share q of the samples, 0 < q < 1; "joint", a single stage of all tasks, of as
            many updates in all (the ablation "w/o TIT").
        max_iters: updates of all stages together.

    Raises:
        ValueError: there is no such way, or the stages cannot be of one length.
    """

    order: tuple[str, ...]
    data: str
    max_iters: int

    def __post_init__(self) -> None:
        if self.data not in DATA[:2] + DATA[3:]:
            self._replayed()
        if self.max_iters % self.num_stages:
            raise ValueError(
                f'train_cfg.max_iters={self.max_iters} must be a multiple of the '
                f'{self.num_stages} stages of {", ".join(self.order)}'
            )

    @property
    def num_stages(self) -> int:
        """One for each task, or a single one of all."""
        return 1 if self.data == 'joint' else len(self.order)

    @property
    def stage_length(self) -> int:
        """Updates of each stage."""
        return self.max_iters // self.num_stages

    def stage_of(self, iteration: int) -> int:
        """The stage, counted from 0, that an iteration belongs to."""
        return min(iteration // self.stage_length, self.num_stages - 1)

    def joined(self, iteration: int) -> tuple[str, ...]:
        """The tasks that have joined by an iteration, the newest last."""
        return self.order if self.data == 'joint' else self.order[: self.stage_of(iteration) + 1]

    def weights(self, iteration: int) -> dict[str, float]:
        """The share of each task that an iteration draws from; they sum to one."""
        *former, new = self.joined(iteration)
        if self.data == 'sequential' or not former:
            return {new: 1.0}
        if self.data in ('cumulative', 'joint'):
            return _alike([*former, new])
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
            raise ValueError(
                f'data={self.data!r} must be one of {", ".join(DATA)}, the last but one with '
                f'0 < q < 1'
            )
        return q


def task_order(timesteps: Mapping[str, int], order: str | Sequence[str], seed: int) -> list[str]:
    """Tasks in the order in which they join.

    Args:
        timesteps: t_mat of each task.
        order: "asc", "desc", "random" (a function of the seed), or the tasks themselves in order.
        seed: the run's seed.

    Raises:
        ValueError: there is no such order, or its tasks are not those of the time steps.
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


def _alike(tasks: Sequence[str]) -> dict[str, float]:
    return {task: 1 / len(tasks) for task in tasks}
