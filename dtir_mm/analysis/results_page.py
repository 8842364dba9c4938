"""Finds the cells of a config in the results tables of a README, and fills them in.

A block names its protocol and metrics, and for each column to fill the config, task and domain of
its cells. ``{row}`` is a row's first cell, or the code in it, if any::

    <!-- results
    protocol: rgb
    figures: psnr, ssim
    ours: {row} average source
    -->
    | run | quoted | ours |
    |---|---|---|
    | [`a_b16-300k`](a_b16-300k.py) | 29.08 / .933 | |

    <!-- end of results -->

Below the table, a line for each config names the origin of its results.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

_BLOCK = re.compile(
    r'<!-- results\n(?P<head>.*?)-->\n(?P<table>(?:\|[^\n]*\n)+)(?P<origins>.*?)'
    r'<!-- end of results -->',
    re.DOTALL,
)
_CODE = re.compile(r'`([^`]+)`')
_BATCH = re.compile(r'_b\d+-')
_AVERAGE, _BLIND = 'average', 'blind'
_DECIMALS = {'psnr': 2, 'ssim': 3, 'lpips': 3}


@dataclass(frozen=True)
class Origin:
    """The origin of published results.

    Args:
        config: the config's name.
        seed: of its training.
        commit: of the code that measured them.
        protocol: of the measurement.
        config_hash: of the resolved config.
        checkpoint: hash of the tested weights.
    """

    config: str
    seed: int
    commit: str
    protocol: str
    config_hash: str
    checkpoint: str

    def __str__(self) -> str:
        return (
            f'`{self.config}`: seed {self.seed}, commit {self.commit}, protocol '
            f'`{self.protocol}`, config {self.config_hash}, checkpoint {self.checkpoint}'
        )


@dataclass
class Cell:
    """A cell with results of a config.

    Args:
        config: the config's name.
        task: a task, or "average" over all of the domain.
        domain: "source" or "target".
        blind: whether restoration is blind.
        row: line of the table; 0 is the header.
        column: index in the line.
        text: its content.
    """

    config: str
    task: str
    domain: str
    blind: bool
    row: int
    column: int
    text: str

    def figures(self, means: Sequence[dict[str, Any]], method: str, names: Sequence[str]) -> str:
        """The text for the rows of a summary, such as "29.08 / .933".

        Raises:
            ValueError: a figure for the cell was not measured.
        """
        wanted = f'{method}, blind' if self.blind else method
        rows = [
            row
            for row in means
            if row['method'] == wanted
            and row['domain'] == self.domain
            and self.task in (row['task'], _AVERAGE)
        ]
        values = [[row[name] for row in rows] for name in names]
        if not rows or any(None in column for column in values):
            raise ValueError(
                f'the page needs {", ".join(names)} of task {self.task!r}, domain '
                f'{self.domain!r}, method {wanted!r}, which this test did not measure'
            )
        return ' / '.join(
            f'{fmean(column):.{_DECIMALS[name]}f}'.removeprefix('0')
            for name, column in zip(names, values, strict=True)
        )


class Block:
    """A table and the comment that describes it; see the module."""

    def __init__(self, match: re.Match[str]) -> None:
        self.span = match.span()
        self._head = match['head']
        said = dict(line.split(': ', 1) for line in self._head.splitlines())
        self.protocol = said.pop('protocol')
        self.figures = said.pop('figures').split(', ')
        self._lines = match['table'].splitlines()
        header = _split(self._lines[0])
        if missing := said.keys() - set(header):
            raise ValueError(f'a table of results has no column {", ".join(sorted(missing))}')
        self._columns = {header.index(name): words for name, words in said.items()}
        self._origins = [line[2:] for line in match['origins'].splitlines() if line]

    def cells(self) -> list[Cell]:
        """All cells to fill, row by row."""
        cells = []
        for number, line in enumerate(self._lines[2:], start=2):
            texts = _split(line)
            code = _CODE.search(texts[0])
            row = code[1] if code else texts[0]
            for column, words in self._columns.items():
                config, task, domain, *blind = words.replace('{row}', row).split(' ')
                if _BATCH.search(config):  # rows of other authors' networks have no config
                    blindly = blind == [_BLIND]
                    cells.append(Cell(config, task, domain, blindly, number, column, texts[column]))
        return cells

    def origin_of(self, config: str) -> str | None:
        """The line with the origin of a config's results, if any."""
        return next((line for line in self._origins if line.split('`')[1] == config), None)

    def fill(self, cells: Sequence[Cell], texts: Sequence[str], origin: Origin) -> None:
        """Fills in the cells of a config and their origin."""
        for cell, text in zip(cells, texts, strict=True):
            line = _split(self._lines[cell.row])
            line[cell.column] = text
            self._lines[cell.row] = '|' + ''.join(f' {text} |' if text else ' |' for text in line)
        others = set(self._origins) - {self.origin_of(origin.config)}
        self._origins = sorted(others | {str(origin)})

    def __str__(self) -> str:
        origins = [f'- {line}' for line in self._origins]
        parts = [f'<!-- results\n{self._head}-->', *self._lines, '', *origins]
        return '\n'.join([*parts, *([''] if origins else []), '<!-- end of results -->'])


def _split(line: str) -> list[str]:
    return [cell.strip() for cell in line.removeprefix('|').removesuffix('|').split('|')]


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page's text."""
    return [Block(match) for match in _BLOCK.finditer(page)]


def fill_page(
    page: str, means: Sequence[dict[str, Any]], method: str, origin: Origin, replace: bool = False
) -> str:
    """The page with a config's results in all its cells of the origin's protocol.

    Args:
        page: the text.
        means: rows of a summary (``mean_rows``).
        method: the method's name in them; rows of blind restoration have "<method>, blind".
        origin: of the results.
        replace: whether to overwrite published results.

    Raises:
        ValueError: the page has no cell for this config and protocol, a result is missing, or other
            results are published and ``replace`` is False; the message shows both.
    """
    blocks = blocks_of(page)
    require_on_page(blocks, origin.config, origin.protocol)
    for block in reversed(blocks):  # from the end, so that spans stay valid
        cells = cells_of(block, origin.config)
        if not cells or block.protocol != origin.protocol:
            continue
        texts = [cell.figures(means, method, block.figures) for cell in cells]
        before = [cell.text for cell in cells]
        if any(before) and not replace and (texts, str(origin)) != (
            before, block.origin_of(origin.config)
        ):  # fmt: skip
            raise ValueError(
                f'the page has figures of {origin.config} already: {"; ".join(before)} '
                f'({block.origin_of(origin.config)}). The new ones are {"; ".join(texts)} '
                f'({origin}). To overwrite the published ones, add --replace'
            )
        block.fill(cells, texts, origin)
        start, end = block.span
        page = page[:start] + str(block) + page[end:]
    return page


def cells_of(block: Block, config: str) -> list[Cell]:
    """The cells of a config in a block."""
    return [cell for cell in block.cells() if cell.config == config]


def require_on_page(blocks: Sequence[Block], config: str, protocol: str) -> None:
    """Raises ValueError unless a block with the given protocol has cells of a config."""
    protocols = {block.protocol for block in blocks if cells_of(block, config)}
    if not protocols:
        raise ValueError(f'no table of the page has a cell for {config}')
    if protocol not in protocols:
        raise ValueError(
            f'the page holds figures of {config} under the protocol '
            f'{", ".join(sorted(protocols))}, this test is under {protocol}'
        )
