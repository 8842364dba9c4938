"""What the command-line tools share."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from dtir_mm.engine.checkpoint import CheckpointError


@contextmanager
def one_line_errors(tool: str) -> Iterator[None]:
    """Ends the program with status 1 and ``<tool>: message`` where the user's input is at fault.

    For tools that run none of the user's own code, whose errors deserve their traceback.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, CheckpointError) as error:
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
