"""Lists the names of the configs that come with dtir_mm."""

import argparse
from fnmatch import fnmatch

from dtir_mm.named_configs import FOLDER, config_names
from dtir_mm.typos import hint


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('pattern', nargs='?', default='*', help='e.g. rainy, or setting_a/*_b16-*')
    pattern = parser.parse_args().pattern
    names = config_names()
    found = [name for name in names if fnmatch(name, pattern) or pattern in name]
    if not found:
        return f'configs: no name has {pattern!r}{hint(pattern, names)}'
    print('\n'.join(found))
    print(f'{len(found)} of {len(names)} configs in {FOLDER}')
    return None
