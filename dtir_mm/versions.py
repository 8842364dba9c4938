"""Checks the versions of the packages that dtir_mm builds on, without importing them."""

from importlib.metadata import PackageNotFoundError, version

MMAGIC = '--no-deps mmagic==1.2.0'  # its own requirements do not install any more
# (package, at least, less than, what to install)
# torch: 2.6 is the first with a ``safe_globals`` that takes an object and its name.
_SUPPORTED = (
    ('torch', (2, 6), (3,), 'torch>=2.6'),
    ('mmengine', (0, 10, 4), (0, 11), 'mmengine==0.10.7'),
    ('mmcv', (2, 0), (2, 2), 'mmcv-lite==2.1.0'),
    ('mmagic', (1, 2), (1, 3), MMAGIC),
)


def check_versions() -> None:
    """Checks the versions of packages; mmcv may be mmcv-lite, and mmagic may be missing.

    Raises:
        ImportError: one is missing, too old or too new; the message tells what to install.
    """
    for package, low, high, install in _SUPPORTED:
        installed = installed_version(package)
        if installed is None:
            if package == 'mmagic':
                continue
            raise ImportError(f'dtir_mm needs {package}: pip install "{install}"')
        if not low <= _numbers(installed) < high:
            bounds = f'>={".".join(map(str, low))},<{".".join(map(str, high))}'
            raise ImportError(
                f'dtir_mm works with {package}{bounds}, but {installed} is installed: '
                f'pip install {install}'
            )


def installed_version(package: str) -> str | None:
    """The version of a package, for mmcv also that of mmcv-lite; None if it is not installed."""
    for name in (package, 'mmcv-lite') if package == 'mmcv' else (package,):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def _numbers(text: str) -> tuple[int, ...]:
    release = text.split('+')[0].split('.')
    return tuple(int(part) for part in release[:3] if part.isdigit())
