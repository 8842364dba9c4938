"""Writes docs/config.schema.json and docs/config.md from signatures and docstrings."""

import argparse
import json
from pathlib import Path

from dtir_mm.apis.command_line import ToolParser, one_line_errors
from dtir_mm.config.page import config_page
from dtir_mm.config.schema import config_schema
from dtir_mm.files import write_text

DOCS = Path(__file__).resolve().parents[1] / 'docs'


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('--folder', type=Path, default=DOCS, help='default: docs')
    return parser.parse_args()


@one_line_errors('config_schema')
def main() -> None:
    folder = parse_args().folder
    schema = config_schema()
    write_text(folder / 'config.schema.json', json.dumps(schema, indent=1) + '\n')
    write_text(folder / 'config.md', config_page(schema))
    print(f'written: {folder / "config.schema.json"}, {folder / "config.md"}')


if __name__ == '__main__':
    main()
