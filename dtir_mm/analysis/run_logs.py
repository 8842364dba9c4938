"""Reads the logs of runs: warnings, environment and config."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dtir_mm.analysis.config_text import parse_config

_LINE = re.compile(r'\d{4}/\d\d/\d\d \d\d:\d\d:\d\d - \S+ - ([A-Z]+) - (.*)')
_REPORTED = ('WARNING', 'ERROR', 'CRITICAL')
_SETTING = re.compile(r' {4}(\w[^:]*): (.+)')
_VERBOSE = ('PyTorch compiling details',)


@dataclass(frozen=True)
class RunLog:
    """What a run said, and what it ran on.

    Args:
        messages: level and text of each warning and error, and how often it was logged.
        environment: versions and devices of the last session, by name.
        config: of the last session, as Python.
    """

    messages: dict[tuple[str, str], int]
    environment: dict[str, str]
    config: str

    @property
    def planned_updates(self) -> int | None:
        """``train_cfg.max_iters`` of the config; None if it is not there."""
        try:
            training = parse_config(self.config).get('train_cfg') or {}
        except ValueError:
            return None
        return training.get('max_iters')


def read_logs(folder: Path) -> RunLog:
    """The logs in a work directory; a resumed run has one for each session."""
    messages: Counter[tuple[str, str]] = Counter()
    environment: dict[str, str] = {}
    for path in sorted(folder.glob('*/*.log')):
        found: dict[str, str] = {}
        for level, text in _entries(path):
            if level in _REPORTED:
                messages[level, text] += 1
            elif 'System environment:' in text and not found:
                settings = map(_SETTING.fullmatch, text.splitlines())
                found = {match[1]: match[2].strip() for match in settings if match}
        environment = found or environment
    for name in _VERBOSE:
        environment.pop(name, None)
    configs = sorted(folder.glob('*/vis_data/config.py'))
    config = configs[-1].read_text(encoding='utf-8', errors='replace') if configs else ''
    return RunLog(dict(messages), environment, config)


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    """Level and text of each entry of a log; texts may have several lines."""
    level, lines = '', list[str]()
    with open(path, encoding='utf-8', errors='replace') as file:
        for line in file:
            if begin := _LINE.match(line):
                yield level, '\n'.join(lines)
                level, lines = begin[1], [begin[2]]
            else:
                lines.append(line.rstrip('\n'))
    yield level, '\n'.join(lines)
