"""A module and a package whose import leaves a mark; no file may cause it."""

import sys
from pathlib import Path

# Each name in a config for which mmengine would import one of them.
TYPES = (
    'trap_module',
    'trap_module.function',
    'trap_package.Network',
    'trap_package.registry.Network',
)
WAYS = {
    **{name: {'type': name} for name in TYPES},
    '_scope_': {'_scope_': 'trap_package'},
    '_base_': {'_base_': 'trap_module.py'},
    'custom_imports': {'custom_imports': {'imports': ['trap_module']}},
}


class Trap:
    """Modules in a folder where ``python`` finds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mark = folder / 'imported'
        code = f'open({str(self._mark)!r}, "w").close()\ndef function(**arguments): return None\n'
        (folder / 'trap_package').mkdir()
        for file in ('trap_module.py', 'trap_package/__init__.py', 'trap_package/registry.py'):
            (folder / file).write_text(code)

    @property
    def sprung(self) -> bool:
        """Whether any of it was imported since it was set."""
        return self._mark.exists()

    def reset(self) -> None:
        """Removes the mark and the modules."""
        self._mark.unlink(missing_ok=True)
        for name in [name for name in sys.modules if name.startswith('trap_')]:
            del sys.modules[name]
