"""Compiling the network, and what torch's compiler needs of the machine."""

import os
import shutil
from typing import Any

from dtir_mm.models.conditioning.conditioned_backbone import ConditionedBackbone

_COMPILERS = ('g++', 'clang++', 'cl')


def compile_network(backbone: ConditionedBackbone, options: dict[str, Any]) -> None:
    """Compiles the network in a backbone by ``torch.compile`` with these options.

    Raises:
        ValueError: there is no C++ compiler, which the default backend needs on every device.
    """
    if options.get('backend', 'inductor') == 'inductor':
        require_cpp_compiler()
    backbone.compile_network(**options)


def require_cpp_compiler() -> None:
    """Raises ValueError unless there is a C++ compiler; the message says how to get one."""
    named = os.environ.get('CXX')
    if not any(shutil.which(name) for name in ((named,) if named else _COMPILERS)):
        raise ValueError(
            f'compile=True needs a C++ compiler, but there is no '
            f'{f"{named} (CXX)" if named else " or ".join(_COMPILERS)}: install one (on Debian and '
            f'Ubuntu: apt-get install g++), or leave compile out of the config'
        )
