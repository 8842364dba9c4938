"""Shows a config's whole recipe: what it comes to, and every key after inheritance."""

import argparse
from pathlib import Path

from mmengine.config import Config, DictAction

from dtir_mm.analysis.recipe import format_summary, summarize_recipe
from dtir_mm.apis.command_line import one_line_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='overrides, e.g. train_cfg.max_iters=100 optim_wrapper.optimizer.lr=1e-4',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with one_line_errors('print_config'):
        config = Config.fromfile(args.config)
        if args.cfg_options:
            config.merge_from_dict(args.cfg_options)
        print(format_summary(summarize_recipe(config.to_dict(), Path(args.config).stem)))
    print()
    print(config.pretty_text)


if __name__ == '__main__':
    main()
