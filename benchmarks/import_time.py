"""Checks what importing this package adds to importing torch, without which nothing works.

CPU seconds of fresh interpreters, the least of some runs in turn: only their ratio is judged, so
that the machine does not matter.
"""

import argparse
import subprocess
import sys

# At most this many times as long as torch: the package itself, and what a training run loads.
LIMITS = {'dtir_mm': 1.3, 'dtir_mm.engine': 2.2}
RUNS = 5


def import_seconds(module: str) -> float:
    """CPU seconds that an import takes in a new interpreter."""
    code = f'import time\nimport {module}\nprint(time.process_time())'
    run = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    return float(run.stdout.splitlines()[-1])


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    names = ('torch', *LIMITS)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(RUNS):
        for name in names:
            seconds[name].append(import_seconds(name))
    least = {name: min(values) for name, values in seconds.items()}
    ratios = {name: least[name] / least['torch'] for name in LIMITS}
    for name, ratio in ratios.items():
        print(f'import {name}: {least[name]:.2f} s, {ratio:.2f} x torch, limit {LIMITS[name]} x')
    slow = [name for name, ratio in ratios.items() if ratio > LIMITS[name]]
    if slow:
        raise SystemExit(f'too slow: {", ".join(slow)}; python -X importtime shows what takes long')


if __name__ == '__main__':
    main()
