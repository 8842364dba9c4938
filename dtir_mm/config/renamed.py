"""Names of earlier versions, so that messages can answer an old name with today's."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Of options of the tools, and of values in a config.
OPTIONS = {'--pictures': '--images'}
VALUES = {
    'held_out_noise': 'val_noise_loss',
    'held_out_denoising': 'val_denoising_loss',
}
# Of config files, as regular expressions. The last two stood for what are options of a run now.
_FILES = (
    (r'one_gpu/', ''),
    (r'_8xb2-|_1xb16-', '_b16-'),
    (r'_1xb8-', '_b8-'),
    (r'(quick\S*_(?:finetune|scratch))_(rainy|low_light)_', r'\1_noisy_'),
    (r'(_b8)-3000|(_b16)-8500', lambda match: '_b8-1000' if match[1] else '_b16-2500'),
)


def renamed_config(path: str | Path) -> Path | None:
    """The file that a config of an earlier version has become; None where there is none."""
    name = Path(path).as_posix()
    for old, new in _FILES:
        name = re.sub(old, new, name)
    return Path(name) if Path(name).is_file() else None


def renamed_values(config: Any, path: str = '') -> Iterator[str]:
    """A message for each value of an earlier version in a config."""
    items = config.items() if isinstance(config, Mapping) else enumerate(config)
    for key, value in items:
        at = f'{path}.{key}' if path else str(key)
        if isinstance(value, str) and value in VALUES:
            yield f'{at}={value!r}: it is now {VALUES[value]!r}'
        elif isinstance(value, Mapping | list | tuple):
            yield from renamed_values(value, at)
