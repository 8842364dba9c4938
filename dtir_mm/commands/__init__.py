"""``dtir-mm COMMAND``: the commands, whose modules are imported only when they are called."""

import sys
from importlib import import_module

from dtir_mm import __version__
from dtir_mm.typos import nearest
from dtir_mm.versions import check_versions

# The module of each command, and what it does.
COMMANDS = {
    'restore': ('restore', 'restores an image, or every image in a folder'),
    'demo': ('demo', 'opens a local page to restore photographs on'),
    'train': ('train', 'trains a config'),
    'match': ('match_timesteps', 'finds the matching time step of each degradation'),
    'test': ('test', 'tests a checkpoint: tables, and images to compare'),
    'deploy': ('deploy', 'writes a restorer as a plain network: safetensors, ONNX'),
    'configs': ('configs', 'lists the configs that come with dtir_mm'),
    'print-config': ('print_config', 'prints a summary of a config and all its keys'),
    'check-data': ('check_data', "checks the images of a config's data sets"),
    'check-env': ('check_env', 'prints the installed versions, and any problems'),
    'summarize': ('summarize', 'joins the results of several tests into one table'),
    'report': ('report', 'writes a page about runs: results, images, curves'),
    'figure': ('figure', "draws one of the paper's figures from runs"),
    'interpolate-weights': ('interpolate_weights', 'mixes two checkpoints (WiSE-FT)'),
    'accumulate-importance': (
        'accumulate_importance',
        'adds the importance of its weights to a checkpoint',
    ),
    'prepare-lpips': ('prepare_lpips', 'downloads the weights of LPIPS'),
}


def main() -> int | str | None:
    """Runs the command that the command line names; returns its exit status."""
    name, *arguments = sys.argv[1:] or ['--help']
    if name in ('-h', '--help'):
        print(_overview())
        return 0
    if name == '--version':
        print(f'dtir-mm {__version__}')
        return 0
    if name not in COMMANDS:
        # By the names of their modules too, which the scripts in tools/ have.
        known = {
            known: command
            for command, (module, _) in COMMANDS.items()
            for known in (command, module)
        }
        close = nearest(name, known)
        said = f'; nearest: {known[close]}' if close else ''
        print(f'dtir-mm: no command {name!r}{said} (--help lists them)', file=sys.stderr)
        return 2
    sys.argv = [f'dtir-mm {name}', *arguments]
    try:
        if name != 'check-env':
            check_versions()
        command = import_module(f'dtir_mm.commands.{COMMANDS[name][0]}')
    except ImportError as error:
        return f'{name}: {error}. `dtir-mm check-env` lists what is missing'
    except KeyboardInterrupt:  # importing takes seconds
        print(f'{name}: interrupted', file=sys.stderr)
        return 130
    return command.main()


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f'  {name:{width}}  {does}' for name, (_, does) in COMMANDS.items()]
    return '\n'.join(
        [
            'usage: dtir-mm COMMAND [arguments]',
            '       dtir-mm COMMAND --help',
            '       dtir-mm --version',
            '',
            'Restores images, and trains the networks that do.',
            '',
            *lines,
        ]
    )
