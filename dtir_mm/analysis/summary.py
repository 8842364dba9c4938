"""Results of tests: per-image rows, summaries, and tables of them."""

import csv
import hashlib
import io
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from dtir_mm import __version__
from dtir_mm.evaluation.restoration_metric import FIGURES, mean_figures
from dtir_mm.files import write_text

METHODS = ('input', 'scratch', 'scratch_equal', 'ours')  # in the order of tables; others follow
_CSV_COLUMNS = ('task', 'domain', 'path', 't', *FIGURES, *(f'input_{name}' for name in FIGURES))
_DECIMALS = {'psnr': 2, 'ssim': 4, 'lpips': 4}
_BASELINES = {
    'scratch': 'from scratch (same updates)',
    'scratch_equal': 'from scratch (updates of both stages)',
}
_CLEARLY = 0.3  # dB


def write_rows_csv(rows: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Writes the rows of ``RestorationMetric``, one line per image; LPIPS may be empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _CSV_COLUMNS, lineterminator='\n')
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f'{v:.6f}' if isinstance(v, float) else v for k, v in row.items()})
    write_text(path, text.getvalue())


def mean_rows(rows: Sequence[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    """The rows of a summary: ``{task, method, domain, psnr, ssim, lpips, n}``.

    Args:
        rows: of ``RestorationMetric``, one per image.
        method: what restored the images, e.g. "ours"; "input" for the degraded images.
    """
    prefix = 'input_' if method == 'input' else ''
    return [
        {
            'task': task,
            'method': method,
            'domain': domain,
            **{name: figures.get(prefix + name) for name in FIGURES},
            'n': sum(row['task'] == task and row['domain'] == domain for row in rows),
        }
        for (task, domain), figures in mean_figures(rows).items()
    ]


def average_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Unweighted means over tasks, as rows of the task "average".

    Methods that lack a task of the domain have none, because they would not be comparable.
    """
    averages = []
    for domain, method in dict.fromkeys((row['domain'], row['method']) for row in rows):
        tasks = {row['task'] for row in rows if row['domain'] == domain}
        group = [row for row in rows if row['domain'] == domain and row['method'] == method]
        if len(tasks) < 2 or len(group) < len(tasks):
            continue
        average = {'task': 'average', 'method': method, 'domain': domain}
        for name in FIGURES:
            values = [row[name] for row in group]
            average[name] = None if None in values else fmean(values)
        averages.append(average | {'n': sum(row['n'] for row in group)})
    return averages


def format_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of a summary and their averages, as plain text grouped by task and domain."""
    ordered = [
        row
        for part in (rows, average_rows(rows))
        for task, domain in dict.fromkeys((row['task'], row['domain']) for row in part)
        for row in part
        if (row['task'], row['domain']) == (task, domain)
    ]
    lines = [['task', 'domain', 'method', 'PSNR', 'SSIM', 'LPIPS', 'images']]
    previous = (None, None)
    for row in ordered:
        task, domain = row['task'], row['domain']
        group = ('', '') if (task, domain) == previous else (task, domain)
        figures = ('-' if row[k] is None else f'{row[k]:.{d}f}' for k, d in _DECIMALS.items())
        lines.append([*group, row['method'], *figures, str(row['n'])])
        previous = (task, domain)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    padded = [
        '  '.join(
            cell.ljust(width) if i < 3 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    rule = '-' * len(padded[0])
    starts = [rule if line[0] and i else None for i, line in enumerate(lines)]
    return '\n'.join(text for pair in zip(starts, padded, strict=True) for text in pair if text)


def verdict(rows: Sequence[dict[str, Any]]) -> str:
    """Compares the PSNR of "ours" and of training from scratch in the rows of a summary, in words.

    One line each for "scratch" and "scratch_equal", if they share a task with "ours": for how many
    tasks ours is better in every domain, and where it is worse by more than 0.3 dB.
    """
    lines = []
    for method, words in _BASELINES.items():
        gains = _gains(rows, method)
        if not gains:
            continue
        tasks = {task for task, _ in gains}
        ahead = tasks - {task for (task, _), gain in gains.items() if gain <= 0}
        domains = ' and '.join(dict.fromkeys(domain for _, domain in gains))
        behind = [
            f'{task}/{domain} ({gain:.2f})'
            for (task, domain), gain in gains.items()
            if gain < -_CLEARLY
        ]
        where = f'more than {_CLEARLY} dB lower on {", ".join(behind)}'
        lines.append(
            f'Compared with training {words}, the PSNR of ours is higher on {domains} for '
            f'{len(ahead)} of {len(tasks)} tasks, and '
            + (f'{where}.' if behind else f'nowhere more than {_CLEARLY} dB lower.')
        )
    return '\n'.join(lines)


def _gains(rows: Sequence[dict[str, Any]], method: str) -> dict[tuple[str, str], float]:
    """PSNR of "ours" minus that of another method, for each task and domain with both."""
    psnr = {(row['task'], row['domain'], row['method']): row['psnr'] for row in rows}
    return {
        (task, domain): value - psnr[task, domain, method]
        for (task, domain, name), value in psnr.items()
        if name == 'ours' and (task, domain, method) in psnr
    }


def write_summary(
    path: str | Path,
    rows: Sequence[dict[str, Any]],
    timesteps: dict[str, dict[str, Any]],
    protocol: str,
    precision: str,
    seed: int | None,
    commit: str,
    config_hash: str,
    images: Sequence[str | Path],
    ema_decay: float | None = None,
    config: Mapping[str, Any] | None = None,
) -> None:
    """Writes ``summary.json`` atomically.

    Args:
        path: of the file.
        rows: from ``mean_rows``, of all methods.
        timesteps: ``{t_mat, interval, status}`` per task.
        protocol: name of the protocol of all rows.
        precision: "fp32" or "bf16".
        seed: of the run; None if unknown.
        commit: from ``code_version``.
        config_hash: of the config.
        images: files of comparison images.
        ema_decay: decay of averaged weights; None for the weights of the last update.
        config: that the tested network was trained by; None if there is none, or several.

    Raises:
        ValueError: a figure is not finite (JSON has no such number).
    """
    summary = {
        'rows': list(rows),
        'timesteps': timesteps,
        'protocol': protocol,
        'precision': precision,
        'seed': seed,
        'commit': commit,
        'config_hash': config_hash,
        'images': [str(image) for image in images],
        'ema_decay': ema_decay,
    }
    try:
        json.dumps(summary, allow_nan=False)
    except ValueError as error:
        raise ValueError(f'{path}: a figure of the summary is not finite: {error}') from error
    # A config may have infinite values, which checkpoints keep as well.
    write_text(path, json.dumps(summary | {'config': config}, indent=2) + '\n')


def config_hash(config: Mapping[str, Any]) -> str:
    """A hash of a config, or of other plain data: 12 hexadecimal digits."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]


def code_version() -> str:
    """The commit of this code, or where there is none, its version: "dtir_mm 0.2.0"."""
    return git_commit() or f'dtir_mm {__version__}'


def git_commit(folder: str | Path = Path(__file__).parent, output: str | None = None) -> str | None:
    """The current commit of the repository that tracks ``folder``, by default this code's.

    It ends in "-dirty" if tracked files are modified, apart from those in ``output``, a folder of
    the repository that the code only writes to. None outside of a repository, before its first
    commit, or without git.
    """

    def git(*arguments: str) -> str:
        command = ['git', '-C', str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An installed copy may be in an ignored folder of another repository.
        if not git('ls-files', '.'):
            return None
        apart = [':/', f':(top,exclude){output}'] if output else []
        modified = git('diff', '--name-only', 'HEAD', '--', *apart)
        commit = git('rev-parse', 'HEAD')
    except (OSError, subprocess.CalledProcessError):
        return None
    return f'{commit}-dirty' if modified else commit
