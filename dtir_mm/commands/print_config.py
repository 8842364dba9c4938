"""Prints a config: a summary, then every key after inheritance."""

import argparse
from pathlib import Path

from dtir_mm.analysis.recipe import format_summary, summarize_recipe
from dtir_mm.apis.command_line import ToolParser, add_config_with_options, one_line_errors
from dtir_mm.apis.standard_output import say
from dtir_mm.config import read_config, require_parts


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    add_config_with_options(parser)
    return parser.parse_args()


@one_line_errors()
def main() -> None:
    args = parse_args()
    config = read_config(args.config, args.cfg_options)
    require_parts(config, 'print')
    say(format_summary(summarize_recipe(config.to_dict(), Path(args.config).stem)))
    say('')
    say(config.pretty_text)
