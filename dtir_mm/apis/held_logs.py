"""A runner whose console stays quiet until the run begins."""

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
    """Keeps what a runner logs off the console until all is built and loaded.

    mmengine shows the environment and the whole config first, hundreds of lines, above which an
    error of that config would be out of sight. The file of the log has them at once.
    """

    priority = 'VERY_LOW'  # behind hooks that find out in ``before_train`` what they lack

    def __init__(self) -> None:
        self._held = StringIO()
        self._handlers: list[StreamHandler] = []

    def build(self, config: Config) -> Runner:
        """The runner of a config, with this hook."""
        with redirect_stdout(self._held):
            runner = RUNNERS.build(config)
        handlers = runner.logger.handlers
        self._handlers = [h for h in handlers if getattr(h, 'stream', None) is self._held]
        runner.register_hook(self)
        return runner

    def before_train(self, runner: Any) -> None:
        """Shows what was held back, and from here on all at once."""
        self._release()

    def before_test(self, runner: Any) -> None:
        """See ``before_train``."""
        self._release()

    def _release(self) -> None:
        sys.stdout.write(self._held.getvalue())
        self._held.truncate(0)
        self._held.seek(0)
        for handler in self._handlers:
            handler.setStream(sys.stdout)
        self._handlers = []
