"""What the command-line tools share."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from mmengine.config import Config, DictAction
from tqdm import tqdm

from dtir_mm.engine.checkpoint import CheckpointError

Item = TypeVar('Item')
Result = TypeVar('Result')
_CHUNK = 8


@contextmanager
def one_line_errors(tool: str) -> Iterator[None]:
    """Ends the program with status 1 and ``<tool>: message`` where the user's input is at fault.

    For tools that run none of the user's own code, whose errors deserve their traceback.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, CheckpointError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        raise SystemExit(f'{tool}: {message}') from error


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what a tool asks that builds a restorer from a checkpoint alone (``load_restorer``)."""
    parser.add_argument('--config', help="config to build from, instead of the checkpoint's own")
    parser.add_argument(
        '--allow-imports',
        action='store_true',
        help="import the modules that the checkpoint's config names (your own backbone)",
    )


def add_config_with_options(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Adds the path of a config, which ``nargs='?'`` leaves open, and ``--cfg-options``."""
    parser.add_argument('config', nargs=nargs, help='path of the config')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='overrides, e.g. train_cfg.max_iters=100 optim_wrapper.optimizer.lr=1e-4',
    )


def config_with_options(args: argparse.Namespace) -> Config:
    """The config that ``add_config_with_options`` asked for, overridden."""
    config = Config.fromfile(args.config)
    if args.cfg_options:
        config.merge_from_dict(args.cfg_options)
    return config


def end_communication() -> None:
    """Ends that of several processes: gloo's threads must not outlive the interpreter.

    Otherwise a process that is done may abort on leaving, and the launcher kills the others.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def map_in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, name: str
) -> list[Result]:
    """The function of every item, in order, with a progress bar.

    Args:
        function: can be pickled, as its arguments and results can.
        items: what it is called with.
        workers: processes that call it.
        name: what the progress bar says.

    Raises:
        ValueError: there is no worker.
    """
    if workers < 1:
        raise ValueError(f'workers={workers} must be at least 1')
    with ProcessPoolExecutor(workers) as pool:
        results = pool.map(function, items, chunksize=_CHUNK)
        return list(tqdm(results, desc=name, total=len(items), unit='image'))
