"""Opens a local page on which photographs are restored, compared and downloaded."""

import argparse
import importlib.util
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING

from dtir_mm.apis.command_line import ToolParser, add_config_arguments, at_least, one_line_errors
from dtir_mm.apis.demo_page import demo_page
from dtir_mm.apis.loading import load_with_warning
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.models.restorers.tiling import DEFAULT_TILE
from dtir_mm.released_model import released_model

if TYPE_CHECKING:
    import uvicorn

_HOST = '127.0.0.1'
_MAX_BYTES = 200 * 2**20
_FONTS = ('system-ui', 'sans-serif')


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument(
        '--checkpoint',
        help='checkpoint, work directory, deployed network or public weights; default: the model '
        'that comes with dtir_mm',
    )
    parser.add_argument(
        '--port', type=at_least(0), default=7860, help='0 for any; default: %(default)s'
    )
    parser.add_argument(
        '--tile', type=at_least(2), default=DEFAULT_TILE, metavar='PIXELS',
        help='largest side of the tiles that photographs are split into; default: %(default)s',
    )  # fmt: skip
    add_config_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with one_line_errors():
        if importlib.util.find_spec('gradio') is None:
            raise ImportError('the page needs gradio: pip install "gradio>=6"')
        door = _opened(args.port)
        print('starting', flush=True)
        file = args.checkpoint or released_model()
        restorer, warning = load_with_warning(file, args.config, args.allow_imports)
        if warning:
            print(warning)
        for number in (signal.SIGTERM, signal.SIGHUP):  # like Ctrl-C: the folder is deleted
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
                signal.signal(number, signal.default_int_handler)
        with suppress(KeyboardInterrupt), TemporaryDirectory(prefix='dtir-mm-demo-') as folder:
            server = _server(restorer, Path(folder), args.tile)
            serving = Thread(target=server.run, kwargs={'sockets': [door]}, daemon=True)
            serving.start()
            print(f'http://{_HOST}:{door.getsockname()[1]}  (Ctrl-C ends it)', flush=True)
            serving.join()
            raise RuntimeError('the server ended by itself')
    with suppress(OSError):  # the terminal may be closed
        print('ended; all uploaded photographs are deleted', flush=True)
    os._exit(0)  # the usual way waits for a restoration that is not finished, minutes perhaps


def _opened(port: int) -> socket.socket:
    try:
        return socket.create_server((_HOST, port))
    except (OSError, OverflowError) as error:
        raise ValueError(
            f'port {port} cannot be used: {str(error).rstrip(".")}; choose another with --port'
        ) from error


def _server(restorer: Restorer, folder: Path, tile: int | None) -> 'uvicorn.Server':
    # Before gradio is imported: it sends statistics and asks for its newest version.
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    os.environ['HF_HUB_DISABLE_TELEMETRY'] = os.environ['HF_HUB_OFFLINE'] = '1'
    os.environ['GRADIO_TEMP_DIR'] = str(folder / 'gradio')
    import gradio
    import uvicorn
    from fastapi import FastAPI

    # Not Blocks.launch, which takes its address from the environment and calls it through a proxy.
    app = gradio.mount_gradio_app(
        FastAPI(openapi_url=None),
        demo_page(restorer, folder, tile),
        path='/',
        max_file_size=_MAX_BYTES,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        show_error=False,
        theme=gradio.themes.Default(font=_FONTS),
    )
    return uvicorn.Server(uvicorn.Config(app, log_level='warning'))
