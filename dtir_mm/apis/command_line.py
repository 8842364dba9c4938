"""Shared code of the command-line tools."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NoReturn, TypeVar

import torch
from tqdm import tqdm

from dtir_mm.apis.errors import one_line_errors, program
from dtir_mm.config.renamed import OPTIONS
from dtir_mm.named_configs import config_path
from dtir_mm.typos import hint

__all__ = [
    'ToolParser',
    'add_config_arguments',
    'add_config_with_options',
    'add_workers',
    'at_least',
    'end_communication',
    'map_in_processes',
    'one_line_errors',
]
Item = TypeVar('Item')
Result = TypeVar('Result')
_CHUNK = 8


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments for building a restorer from a checkpoint (``load_restorer``)."""
    parser.add_argument(
        '--config',
        type=config_path,
        help="config to build from, instead of the checkpoint's own",
    )
    parser.add_argument(
        '--allow-imports',
        action='store_true',
        help="import the modules that the checkpoint's config names (your own backbone)",
    )


def add_config_with_options(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Adds a config (optional if ``nargs='?'``) and ``--cfg-options``."""
    parser.add_argument(
        'config',
        nargs=nargs,
        type=config_path,
        help='a config: its path, or a name of `dtir-mm configs`',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        type=_key_and_value,
        metavar='KEY=VALUE',
        help='overrides, e.g. train_cfg.max_iters=100 train_dataloader.dataset.folder=data/mine. '
        'Lists are [a,b] or a,b, without spaces; quoted text, KEY=\'"/data/a,b/[x]"\', and '
        'existing paths are taken literally',
    )


def _key_and_value(text: str) -> str:
    if '=' not in text.lstrip('='):
        raise argparse.ArgumentTypeError(f'{text!r} must be KEY=VALUE')
    return text


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Adds ``--workers``, the number of processes for ``map_in_processes``."""
    parser.add_argument(
        '--workers', type=at_least(1), default=os.cpu_count(), help='processes; default: all cores'
    )


def at_least(low: int) -> Callable[[str], int]:
    """An argument type: an integer of at least ``low``."""

    def integer(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if number < low:
            raise argparse.ArgumentTypeError(f'{text!r} must be an integer of at least {low}')
        return number

    return integer


class ToolParser(argparse.ArgumentParser):
    """A parser with one-line errors, which suggest the nearest option."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See argparse; an empty argument, which would mean the current folder, is an error."""
        if '' in (sys.argv[1:] if args is None else args):
            self.error('an argument is empty: is a variable of the shell not set?')
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            known = [name for action in self._actions for name in action.option_strings]
            first = unknown[0].partition('=')[0]
            now = OPTIONS.get(first)
            renamed = f'; it is now {now}' if now in known else hint(first, known)
            self.error(f'unrecognized arguments: {" ".join(unknown)}{renamed}')
        return parsed

    def error(self, message: str) -> NoReturn:
        """Exits with status 2."""
        self.exit(2, f'{program()}: {message} (--help lists what is accepted)\n')


def end_communication() -> None:
    """Ends the communication between processes, if any.

    gloo's threads must not outlive the interpreter: the process might abort at exit, and the
    launcher would then kill the others.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def map_in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, name: str
) -> list[Result]:
    """Applies a function to all items, in order, with a progress bar labelled ``name``.

    The function, its arguments and its results must be picklable.
    """
    with ProcessPoolExecutor(workers) as pool:
        results = pool.map(function, items, chunksize=_CHUNK)
        # Closed here: an open bar breaks another one's ``write`` when it is garbage-collected.
        with tqdm(results, desc=name, total=len(items), unit='image') as bar:
            return list(bar)
