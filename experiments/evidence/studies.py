"""The kinds of study that a cell of the matrix can be, their budgets and tasks."""

from dataclasses import dataclass, field
from typing import Any

PRETRAINING = 2000
"""Updates of stage 1."""
FINETUNING = 1500
"""Updates of stage 2, and of training from scratch with the same updates."""
UNIFIED = 600
"""Updates of each task of a network for four tasks."""

TASKS = ('rainy', 'low_light', 'noisy', 'hazy')
"""Those that are fine-tuned, the most informative first: with 5, 5, 5 and 3 seeds."""
PAIR = ('rainy', 'low_light')
"""One local and one global degradation, for questions with many arms."""

Options = dict[str, Any]


@dataclass(frozen=True)
class Pretraining:
    """A stage 1.

    Args:
        name: in cells, and in ``Arm.pretraining``.
        label: in tables.
        base: the config.
        options: what it changes, by dotted key.
        seeds: number of seeds, from 0.
        tasks: whose degraded photographs it learns from; none: it learns from clean ones.
    """

    name: str
    label: str
    base: str
    options: Options = field(default_factory=dict)
    seeds: int = 5
    tasks: tuple[str, ...] = ()
    updates: int = PRETRAINING


@dataclass(frozen=True)
class Arm:
    """A way to train a restorer.

    Args:
        name: in cells and hypotheses.
        label: in tables.
        base: the config.
        options: what it changes, by dotted key.
        pretraining: that it starts from, with the same seed; None for random weights.
        tasks: that it is run for, one network each, or, if ``unified``, one network for all.
        seeds: number of seeds of each task, from 0; ``None``: 5, on haze 3.
        updates: of its own stage.
        unified: see ``tasks``.
        wave: its place in the order of value; lower ones run first.
    """

    name: str
    label: str
    base: str
    options: Options = field(default_factory=dict)
    pretraining: str | None = None
    tasks: tuple[str, ...] = TASKS
    seeds: int | None = 3
    updates: int = FINETUNING
    unified: bool = False
    wave: int = 3

    def seeds_of(self, task: str) -> range:
        """The seeds of a task."""
        if self.seeds is None:
            return range(3 if task == 'hazy' else 5)
        return range(self.seeds)


@dataclass(frozen=True)
class Interpolation:
    """WiSE-FT: weights between those of an arm and of its pre-training, without training."""

    name: str
    label: str
    arm: str
    share: float
    tasks: tuple[str, ...] = TASKS
    seeds: int = 3
    wave: int = 4


@dataclass(frozen=True)
class Gradients:
    """The size of each term's gradient in each block, at the last weights of an arm's run.

    Args:
        name: in cells.
        arm: whose weights and config these are.
        tasks: of the runs.
        seeds: number of seeds of each task, from 0.
        batches: of the training data, whose gradients are averaged.
        wave: see ``Arm``.
    """

    name: str
    arm: str
    tasks: tuple[str, ...] = PAIR
    seeds: int = 1
    batches: int = 96
    wave: int = 3


@dataclass(frozen=True)
class Matching:
    """The time steps of the ten degradations, found by a method on a pre-training's weights."""

    name: str
    pretraining: str
    method: dict[str, Any]
    seeds: int = 3
    wave: int = 5
