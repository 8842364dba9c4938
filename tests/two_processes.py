"""Commands that start two processes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


def run_on_two(*command: object, cwd: Path = ROOT) -> None:
    """Runs a command that must succeed, such as ``tools/dist_train.sh CONFIG 2``."""
    env = {
        **os.environ,
        'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}',
        'PYTHONPATH': str(ROOT),
        'MASTER_PORT': str(free_port()),
        'OMP_NUM_THREADS': '1',
    }
    result = subprocess.run(
        [*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-3000:]
