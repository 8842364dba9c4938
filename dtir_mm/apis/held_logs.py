"""Delays console logs until a run begins."""

import sys
from contextlib import redirect_stdout
from io import StringIO
from logging import StreamHandler
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from dtir_mm.registry import RUNNERS


class HeldLogs(Hook):
    """Keeps a runner's logs off the console until everything is built and loaded.

    mmengine first logs hundreds of lines, the environment and the whole config, after which an
    error in the config would be hard to find. The log file gets them at once.
    """

    priority = 'VERY_LOW'  # after hooks whose checks in ``before_train`` may fail

    def __init__(self) -> None:
        self._held = StringIO()
        self._handlers: list[StreamHandler] = []

    def build(self, config: Config) -> Runner:
        """Builds the runner of a config, with this hook."""
        with redirect_stdout(self._held):
            runner = RUNNERS.build(config)
        handlers = runner.logger.handlers
        self._handlers = [h for h in handlers if getattr(h, 'stream', None) is self._held]
        runner.register_hook(self)
        return runner

    def before_train(self, runner: Any) -> None:
        """Prints the delayed logs, and all later ones at once."""
        sys.stdout.write(self._held.getvalue())
        self._held.truncate(0)
        self._held.seek(0)
        for handler in self._handlers:
            handler.setStream(sys.stdout)
        self._handlers = []

    before_test = before_train
