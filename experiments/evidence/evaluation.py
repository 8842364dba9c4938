"""Results by arm, and the verdict on every hypothesis, or what is missing for it."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evidence.arms import ARMS
from evidence.hypotheses import HYPOTHESES, LEVEL, MIN_GAIN, REPLICATES, Hypothesis
from evidence.inference import Estimate, bootstrap, holm, verdict
from evidence.matrix import Cell, all_cells
from evidence.results import read_result

Results = dict[str, dict[str, Any]]
_MIN_SEEDS = 2
_MAX_SEEDS = 5


def read_results(folder: Path) -> Results:
    """All results by cell.

    Raises:
        ValueError: the results of a study and task are of different configs, those of a test of
            different photographs, or a file has the result of another cell.
    """
    results: Results = {}
    photographs: dict[tuple[str, str], list[str]] = {}
    hashes: dict[tuple[str, str], str] = {}
    for key, cell in all_cells().items():
        result = read_result(cell, folder)
        if result is None:
            continue
        results[key] = result
        known = hashes.setdefault((cell.study.name, cell.task), result['config_hash'])
        if result['config_hash'] != known:
            raise ValueError(
                f'{key} has the config hash {result["config_hash"]}, other seeds of it {known}: '
                f'run one of them again'
            )
        for test, names in _photographs(result).items():
            if names != photographs.setdefault(test, names):
                raise ValueError(f'{key} has other photographs of {", ".join(test)}')
    return results


def _photographs(result: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    """The names of the photographs that a result has figures of, by task and severity."""
    return {
        (task, domain): found['photographs']
        for task, domains in result.get('images', {}).items()
        for domain, found in domains.items()
    }


def runs_of(results: Results, study: str, task: str) -> dict[int, dict[str, Any]]:
    """The results of an arm or interpolation that was trained for a task, by seed."""
    trained_on = 'all' if study in ARMS and ARMS[study].unified else task
    keys = {seed: f'{study}_{trained_on}_s{seed}' for seed in range(_MAX_SEEDS)}
    return {seed: results[key] for seed, key in keys.items() if key in results}


def of_first_seeds(results: Results, count: int) -> Results:
    """The results of the first seeds, where arms with more of them would be compared by eye."""
    return {key: result for key, result in results.items() if result['seed'] < count}


def figures(
    results: Results, study: str, task: str, domain: str, name: str = 'psnr'
) -> dict[int, np.ndarray]:
    """An arm's figures of each photograph, by seed.

    Args:
        results: of all cells.
        study: name of the arm or interpolation.
        task: of the test.
        domain: of the test.
        name: "psnr" or "ssim".
    """
    return {
        seed: np.array(result['images'][task][domain][name])
        for seed, result in runs_of(results, study, task).items()
    }


OPEN = 'not judged yet'


@dataclass(frozen=True)
class Judged:
    """A hypothesis and what the results say.

    Args:
        hypothesis: that was tested.
        pooled: difference over all tasks.
        tasks: that of each task.
        adjusted_p: after Holm's correction over all hypotheses; without results, they count as 1.
        verdict: SUPPORTED, CONTRADICTED or INCONCLUSIVE; ``OPEN`` until the last run is there.
    """

    hypothesis: Hypothesis
    pooled: Estimate
    tasks: dict[str, Estimate]
    adjusted_p: float
    verdict: str


def differences(
    results: Results, contrast: Mapping[str, float], task: str, domain: str, name: str = 'psnr'
) -> tuple[tuple[int, ...], np.ndarray]:
    """The seeds that all arms of a contrast have, and its values (seeds, photographs)."""
    arms = {arm: figures(results, arm, task, domain, name) for arm in contrast}
    seeds = tuple(sorted(set.intersection(*(set(found) for found in arms.values()))))
    rows = [sum(weight * arms[arm][seed] for arm, weight in contrast.items()) for seed in seeds]
    return seeds, np.array(rows)


def lacking(done: Container[str], hypothesis: Hypothesis) -> list[str]:
    """The cells that a hypothesis needs and that are not done."""
    wanted = []
    for task in hypothesis.tasks:
        arms = [ARMS[arm] for arm in hypothesis.contrast_of(task)]
        common = min((arm.seeds_of(task) for arm in arms), key=len)
        wanted += [
            Cell(arm, seed, 'all' if arm.unified else task).key for arm in arms for seed in common
        ]
    return [key for key in dict.fromkeys(wanted) if key not in done]


def by_task(
    results: Results, hypothesis: Hypothesis, name: str = 'psnr'
) -> dict[str, tuple[tuple[int, ...], np.ndarray]] | None:
    """The seeds and differences of each task of a hypothesis; None if a task has too few seeds."""
    found = {
        task: differences(results, hypothesis.contrast_of(task), task, hypothesis.domain, name)
        for task in hypothesis.tasks
    }
    enough = all(len(seeds) >= _MIN_SEEDS for seeds, _ in found.values())
    return found if enough else None


def pooled(found: Mapping[str, tuple[tuple[int, ...], np.ndarray]], floor: float = 0.0) -> Estimate:
    """The difference over all tasks of ``by_task``."""
    seeds, values = zip(*found.values(), strict=True)
    return bootstrap(values, seeds, REPLICATES, LEVEL, floor)


def judge(results: Results) -> dict[str, Judged | None]:
    """Every hypothesis by key; None if it has too few results to be judged."""
    found = {h.key: by_task(results, h) for h in HYPOTHESES}
    overall = {h.key: pooled(data, h.floor) for h in HYPOTHESES if (data := found[h.key])}
    # Those without results count with p = 1, so that the number of tests is that of the design.
    adjusted = holm({h.key: overall[h.key].p if h.key in overall else 1.0 for h in HYPOTHESES})
    judged: dict[str, Judged | None] = dict.fromkeys(found)
    for hypothesis in HYPOTHESES:
        key, floor, data = hypothesis.key, hypothesis.floor, found[hypothesis.key]
        if data is not None:
            tasks = {task: pooled({task: each}, floor) for task, each in data.items()}
            each = list(tasks.values())
            decision = verdict(overall[key], each, adjusted[key], floor, MIN_GAIN, LEVEL)
            if lacking(results, hypothesis):  # whoever looks early would find too many effects
                decision = OPEN
            judged[key] = Judged(hypothesis, overall[key], tasks, adjusted[key], decision)
    return judged
