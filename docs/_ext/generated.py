"""``{generated} commands``: text of a page that is generated, by one of the functions below."""

import inspect
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from importlib import import_module
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from dtir_mm import registry
from dtir_mm.commands import COMMANDS
from dtir_mm.diffusion.noise_schedule import SCHEDULES
from dtir_mm.released_model import released_model
from dtir_mm.weights_file import read_metadata

_MODULE = """
```{{eval-rst}}
.. automodule:: {name}
   :members:
   :exclude-members: {besides}
   :ignore-module-all:
```
"""
_COMMAND = """
## dtir-mm {name}

```text
{said}
```
"""


def package(name: str, *besides: str) -> Iterator[str]:
    """The public classes and functions of each module in a folder, but for the names besides."""
    yield _MODULE.format(name=name, besides=', '.join(besides))
    for part in pkgutil.iter_modules(import_module(name).__path__, f'{name}.'):
        if not part.ispkg and part.name != 'dtir_mm.__main__':
            yield f'## {part.name.removeprefix(f"{name}.")}'
            yield _MODULE.format(name=part.name, besides=', '.join(besides))


def commands() -> Iterator[str]:
    """What each command prints for ``--help``."""
    for name, (module, _) in COMMANDS.items():
        arguments = [f'dtir-mm {name}', '--help']
        with (
            redirect_stdout(StringIO()) as said,
            suppress(SystemExit),
            patch.object(sys, 'argv', arguments),
            patch.dict('os.environ', COLUMNS='88'),
        ):
            import_module(f'dtir_mm.commands.{module}').main()
        yield _COMMAND.format(name=name, said=said.getvalue())


def registered() -> Iterator[str]:
    """Our classes in each registry."""
    places = {name: each for name, each in vars(registry).items() if name.isupper()}
    for place, known in {**places, 'SCHEDULES': SCHEDULES}.items():
        if isinstance(known, registry.Registry):
            known.import_from_location()
            known = known.module_dict
        if not isinstance(known, dict):
            continue
        rows = [
            (found.__module__, f'| {_link(name, found)} | {_first_paragraph(found)} |')
            for name, found in known.items()
            if found.__module__.startswith('dtir_mm.')
        ]
        if rows:
            yield f'## {place}\n\n| `type` | |\n|---|---|'
            yield from (row for _, row in sorted(rows))
            yield ''


def _link(name: str, found: Callable) -> str:
    role = 'class' if inspect.isclass(found) else 'func'
    return f'{{py:{role}}}`{name} <{found.__module__}.{found.__qualname__}>`'


def _first_paragraph(found: Callable) -> str:
    text = inspect.cleandoc(found.__doc__ or '').split('\n\n')[0]
    return ' '.join(text.split()).replace('|', chr(92) + '|')


def released() -> Iterator[str]:
    """What the file of the released model says about itself."""
    path = Path(released_model())
    metadata = read_metadata(path)
    model, trained = json.loads(metadata['config'])['model'], json.loads(metadata['meta'])
    steps = ', '.join(f'{task} {t}' for task, t in model['timesteps'].items())
    yield '| | |\n|---|---|'
    yield f'| file | `{path.name}`, {path.stat().st_size / 1e6:.1f} MB |'
    yield f'| network | `{model["backbone"]["backbone"]["type"]}` |'
    yield f'| classifier | of {len(model["classifier"]["tasks"])} degradations |'
    yield f'| time steps | {steps} |'
    yield f'| updates of the last stage | {trained["iter"]} |'
    yield f'| licence | {metadata["license"]} |'
    yield f'| commit that wrote it | `{metadata["commit"][:12]}` |'


GENERATORS: dict[str, Callable[..., Iterator[str]]] = {
    function.__name__: function for function in (package, commands, registered, released)
}


class Generated(SphinxDirective):
    """The name of a generator, and its arguments."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """See ``SphinxDirective``."""
        name, *arguments = self.arguments[0].split()
        text = '\n'.join(GENERATORS[name](*arguments))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive('generated', Generated)
    return {'parallel_read_safe': True}
