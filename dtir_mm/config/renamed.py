"""Names of earlier versions, so that messages can give the new name for an old one."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dtir_mm.named_configs import config_path

# Options of the tools, and values in a config.
OPTIONS = {'--pictures': '--images'}
VALUES = {'held_out_noise': 'val_noise_loss', 'held_out_denoising': 'val_denoising_loss'}
# Parts of config file names, as regular expressions.
_FILES = ((r'one_gpu/', ''), (r'_8xb2-|_1xb16-', '_b16-'), (r'_1xb8-', '_b8-'))
# Folders of bases that are gone.
_GONE = {
    '_base_/backbones/': 'name the network in model = dict(backbone=dict(...))',
    '_base_/recipes/': 'list the bases of stage, data, schedule and runtime',
}
# Config files that are options of another one now.
_MERGED = (
    (
        r'(quick\S*)_(rainy|low_light)_b8',
        r'\1_noisy_b8',
        r'{train,val,test}_dataloader.dataset.task=\2',
    ),
    (r'_b8-3000', '_b8-1000', 'train_cfg.max_iters=3000'),
)


def renamed_config(path: str | Path) -> str:
    """What replaces a config file of an earlier version, as the end of a message; may be empty."""
    name, options = Path(path).as_posix(), []
    for folder, advice in _GONE.items():
        if folder in name:
            return f'; {folder} is gone: {advice}, as configs/setting_a does'
    for old, new in _FILES:
        name = re.sub(old, new, name)
    for old, new, option in _MERGED:
        if match := re.search(old, name):
            name = name.replace(match[0], match.expand(new))
            options.append(match.expand(option))
    if not os.path.isfile(config_path(name)):
        return ''
    return f'; it is now {name}' + (f' with --cfg-options {" ".join(options)}' if options else '')


def renamed_values(config: Any, path: str = '') -> Iterator[str]:
    """A message for each value of an earlier version in a config."""
    items = config.items() if isinstance(config, Mapping) else enumerate(config)
    for key, value in items:
        at = f'{path}.{key}' if path else str(key)
        if isinstance(value, str) and value in VALUES:
            yield f'{at}={value!r}: it is now {VALUES[value]!r}'
        elif isinstance(value, Mapping | list | tuple):
            yield from renamed_values(value, at)
