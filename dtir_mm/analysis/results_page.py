"""Tables in a README whose cells a test fills: where a config's figures stand, and writing them.

A block names its protocol and figures, and for each column to fill which config, task and domain
its cells are of; ``{row}`` stands for a row's first cell, the code in it if there is any::

    <!-- results
    protocol: rgb
    figures: psnr, ssim
    ours: {row} average source
    -->
    | run | quoted | ours |
    |---|---|---|
    | [`a_8xb2-300k`](a_8xb2-300k.py) | 29.08 / .933 | |

    <!-- end of results -->

Below the table, a line for each config whose figures it holds says where they come from.
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
_BATCH = re.compile(r'_(\d+)xb(\d+)-')
_AVERAGE, _BLIND = 'average', 'blind'
_DECIMALS = {'psnr': 2, 'ssim': 3, 'lpips': 3}


@dataclass(frozen=True)
class Origin:
    """Where published figures come from.

    Args:
        config: the config's name.
        seed: of its training.
        commit: of the code that measured.
        protocol: of the measurement.
        config_hash: of the resolved config.
        checkpoint: the first digits of the hash of the tested file.
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
    """A cell that belongs to a config.

    Args:
        config: the config's name.
        task: a task, or "average" over all of the domain.
        domain: "source" or "target".
        blind: whether the restorer is not told the task.
        row: its line of the table, from 0, the header.
        column: its place in the line.
        text: what stands in it.
    """

    config: str
    task: str
    domain: str
    blind: bool
    row: int
    column: int
    text: str

    def figures(self, means: Sequence[dict[str, Any]], method: str, names: Sequence[str]) -> str:
        """Its text by the rows of a summary, such as "29.08 / .933".

        Raises:
            ValueError: a figure of the cell was not measured.
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
                f'the page wants {", ".join(names)} of task {self.task!r}, domain '
                f'{self.domain!r}, method {wanted!r}, which this test did not measure'
            )
        return ' / '.join(
            f'{fmean(column):.{_DECIMALS[name]}f}'.removeprefix('0')
            for name, column in zip(names, values, strict=True)
        )


class Block:
    """A table with what its comment says about it; see the module."""

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
        """All cells that are to be filled, row by row."""
        cells = []
        for number, line in enumerate(self._lines[2:], start=2):
            texts = _split(line)
            code = _CODE.search(texts[0])
            row = code[1] if code else texts[0]
            for column, words in self._columns.items():
                config, task, domain, *blind = words.replace('{row}', row).split(' ')
                if _BATCH.search(config):  # a row of somebody else's network has no config
                    blindly = blind == [_BLIND]
                    cells.append(Cell(config, task, domain, blindly, number, column, texts[column]))
        return cells

    def origin_of(self, config: str) -> str | None:
        """What the list says of a config's figures, if it has any."""
        own = (line for line in self._origins if run_of(line.split('`')[1]) == run_of(config))
        return next(own, None)

    def fill(self, cells: Sequence[Cell], texts: Sequence[str], origin: Origin) -> None:
        """Writes the cells of a config, and where they come from."""
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


def run_of(config: str) -> str:
    """A config's name with its batch as a product: 8 x 2 and 1 x 16 samples are the same run."""
    return _BATCH.sub(lambda match: f'_{int(match[1]) * int(match[2])}-', config)


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page's text."""
    return [Block(match) for match in _BLOCK.finditer(page)]


def fill_page(
    page: str,
    means: Sequence[dict[str, Any]],
    method: str,
    origin: Origin,
    replace: bool = False,
) -> str:
    """The text of a page with a config's figures in all its cells of the origin's protocol.

    Args:
        page: the text.
        means: rows of a summary (``mean_rows``).
        method: the method's name in them; the blind rows are those of "<method>, blind".
        origin: where the figures come from.
        replace: put them in the place of others.

    Raises:
        ValueError: the page has no cell of this config under this protocol, a figure is missing, or
            there are others already and ``replace`` is False; the message shows both.
    """
    blocks = blocks_of(page)
    require_on_page(blocks, origin.config, origin.protocol)
    for block in reversed(blocks):  # from the end, so that spans stay right
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
                f'({origin}). To put them in their place, give --replace'
            )
        block.fill(cells, texts, origin)
        start, end = block.span
        page = page[:start] + str(block) + page[end:]
    return page


def cells_of(block: Block, config: str) -> list[Cell]:
    """The cells of a block that are a config's."""
    return [cell for cell in block.cells() if run_of(cell.config) == run_of(config)]


def require_on_page(blocks: Sequence[Block], config: str, protocol: str) -> None:
    """Raises ValueError unless a block has cells of a config, and they are of a protocol."""
    protocols = {block.protocol for block in blocks if cells_of(block, config)}
    if not protocols:
        raise ValueError(f'no table of the page has a cell for {config}')
    if protocol not in protocols:
        raise ValueError(
            f'the page holds figures of {config} under the protocol '
            f'{", ".join(sorted(protocols))}, this test is under {protocol}'
        )
