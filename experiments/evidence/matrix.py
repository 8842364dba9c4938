"""The cells of the matrix: one training (or matching) each, in the order of their value."""

from dataclasses import dataclass
from functools import cache

from evidence.arms import ARMS, GRADIENTS, INTERPOLATIONS, MATCHINGS, PRETRAININGS
from evidence.studies import TASKS, Arm, Gradients, Interpolation, Matching, Pretraining

Study = Pretraining | Arm | Interpolation | Gradients | Matching
ALL_TASKS = 'all'
_FULL_SEEDS = 3  # further seeds of an arm are worth less


@dataclass(frozen=True)
class Cell:
    """One study with one seed, and for an arm, one task.

    Args:
        study: what is trained.
        seed: of the run, and of the pre-training that it starts from.
        task: or "all", for pre-trainings, unified networks and matchings.
    """

    study: Study
    seed: int
    task: str = ALL_TASKS

    @property
    def key(self) -> str:
        """Its name, of its files, too."""
        kind = 'pretrain-' if isinstance(self.study, Pretraining) else ''
        kind = 'match-' if isinstance(self.study, Matching) else kind
        return f'{kind}{self.study.name}_{self.task}_s{self.seed}'

    @property
    def needs(self) -> tuple[str, ...]:
        """The cells whose weights it starts from."""
        if isinstance(self.study, Interpolation | Gradients):
            arm = Cell(ARMS[self.study.arm], self.seed, self.task)
            return (*arm.needs, arm.key)
        name = getattr(self.study, 'pretraining', None)
        return (f'pretrain-{name}_{ALL_TASKS}_s{self.seed}',) if name else ()

    @property
    def wave(self) -> int:
        """The place of an arm in the order of value; pre-trainings come before what needs them."""
        return getattr(self.study, 'wave', 0) + max(0, self.seed - _FULL_SEEDS + 1)


@cache
def all_cells() -> dict[str, Cell]:
    """All cells by key, the most valuable first; what a cell needs comes before it."""
    cells = [
        *_of_tasks(),
        *(Cell(study, seed) for study in MATCHINGS.values() for seed in range(study.seeds)),
    ]
    order = [*TASKS, ALL_TASKS]
    cells.sort(key=lambda cell: (cell.wave, cell.seed, order.index(cell.task)))
    known = {
        cell.key: cell
        for cell in (
            *(Cell(study, seed) for study in PRETRAININGS for seed in range(study.seeds)),
            *cells,
        )
    }
    found: dict[str, Cell] = {}
    for cell in cells:
        for key in (*cell.needs, cell.key):
            found.setdefault(key, known[key])
    return found


def _of_tasks() -> list[Cell]:
    """The cells of arms, and of what is made of their weights."""
    cells = []
    for arm in ARMS.values():
        tasks = (ALL_TASKS,) if arm.unified else arm.tasks
        cells += [Cell(arm, seed, task) for task in tasks for seed in arm.seeds_of(task)]
    for study in (*INTERPOLATIONS.values(), *GRADIENTS.values()):
        cells += [Cell(study, seed, task) for task in study.tasks for seed in range(study.seeds)]
    return cells
