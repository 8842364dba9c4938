"""Requirements of torch.compile."""

import os
import shutil

_COMPILERS = ('g++', 'clang++', 'cl')


def require_cpp_compiler() -> None:
    """Raises ValueError unless there is a C++ compiler, which torch's default backend needs."""
    named = os.environ.get('CXX')
    if not any(shutil.which(name) for name in ((named,) if named else _COMPILERS)):
        raise ValueError(
            f'compile=True needs a C++ compiler, but there is no '
            f'{f"{named} (CXX)" if named else " or ".join(_COMPILERS)}: install one (on Debian and '
            f'Ubuntu: apt-get install g++), or leave compile out of the config'
        )
