"""``dtir-mm demo`` as people use it: a program, and its page in a browser."""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import open_page
from PIL import Image

import dtir_mm
from dtir_mm import commands
from dtir_mm.image_io import read_image, save_image

ROOT = Path(__file__).resolve().parents[2]
# Writes down whom the program calls, and where it listens.
WATCH = """
import sys

def watch(event, arguments):
    if event in ('socket.bind', 'socket.connect', 'socket.getaddrinfo', 'socket.sendto'):
        with open({file!r}, 'a') as file:
            print(event, arguments[0 if event.endswith('addrinfo') else 1], file=file)

sys.addaudithook(watch)
"""
FOUND = re.compile(r'Restored: noise \(\d+% probable\)')
BOTH_SHOWN = "[...document.images].map(image => image.naturalWidth).join() == '192,192'"


@pytest.fixture(scope='module')
def url(tmp_path_factory):
    """The page's address; at the end, Ctrl-C leaves nothing, and nobody was called."""
    pytest.importorskip('gradio')
    folder = tmp_path_factory.mktemp('demo')
    (folder / 'tmp').mkdir()
    (folder / 'sitecustomize.py').write_text(WATCH.format(file=str(folder / 'sockets.txt')))
    env = os.environ | {
        'PYTHONPATH': f'{folder}:{ROOT}',
        'TMPDIR': str(folder / 'tmp'),
        'HTTP_PROXY': 'http://192.0.2.1:9',  # must not be asked for the program's own page
        'PYTHONUNBUFFERED': '1',
    }
    with subprocess.Popen(
        [sys.executable, '-m', 'dtir_mm', 'demo', '--port', '0'],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        # As in a terminal: what a script starts in the background ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as program:  # fmt: skip
        try:
            assert program.stdout.readline() == 'starting\n'
            line = program.stdout.readline()
            assert line.endswith('  (Ctrl-C ends it)\n'), line + program.stdout.read()
            yield line.split()[0]
            assert os.listdir(folder / 'tmp')
            program.send_signal(signal.SIGINT)
            said, _ = program.communicate(timeout=60)
        finally:
            program.kill()
    assert said == 'ended; all uploaded photographs are deleted\n'
    assert program.returncode == 0
    assert os.listdir(folder / 'tmp') == []
    assert set((folder / 'sockets.txt').read_text().splitlines()) == {
        "socket.bind ('127.0.0.1', 0)"
    }


@pytest.fixture
def photo(tmp_path):
    """A part of a photograph, with noise."""
    astronaut = pytest.importorskip('skimage.data').astronaut()[:192, 128:320]
    noise = np.random.default_rng(0).normal(0, 25, astronaut.shape)
    save_image(tmp_path / 'photo.png', (astronaut + noise).clip(0, 255).astype(np.uint8))
    return tmp_path / 'photo.png'


def upload(page, file):
    page.locator('input[type=file]').set_input_files(file)
    page.get_by_label('Clear').wait_for()


def result_of(page):
    """Presses the button, and waits for the line below it."""
    page.get_by_role('button', name='Restore', exact=True).click()
    page.wait_for_function("document.querySelector('textarea').value", timeout=120_000)
    return page.get_by_label('Result').input_value()


def download(page, folder):
    with page.expect_download() as arriving:
        page.get_by_role('button', name='Download').click()
    file = folder / 'downloads' / arriving.value.suggested_filename
    arriving.value.save_as(file)
    return file


def test_a_photograph_comes_back_as_restore_returns_it(chromium, url, photo, tmp_path):
    with open_page(chromium, url, width=390) as page:
        upload(page, photo)
        assert FOUND.fullmatch(result_of(page))
        page.wait_for_function(BOTH_SHOWN)
        file = download(page, tmp_path)
        assert page.evaluate('document.documentElement.scrollWidth') == 390
    assert file.name == 'photo_restored.png'
    restored = np.asarray(dtir_mm.restore(photo))
    assert (restored != read_image(photo)).any()
    np.testing.assert_array_equal(np.asarray(Image.open(file)), restored)


def test_a_chosen_degradation_and_all_that_the_command_keeps(
    chromium, url, photo, tmp_path, monkeypatch
):
    exif = Image.Exif()
    exif[0x112], exif[0x10F] = 6, 'a camera'
    Image.open(photo).save(tmp_path / 'b.jpg', quality=90, exif=exif, dpi=(300, 300))
    with open_page(chromium, url) as page:
        upload(page, tmp_path / 'b.jpg')
        page.get_by_label('Degradation').click()
        page.get_by_role('option', name='blur', exact=True).click()
        assert result_of(page) == 'Restored: blur'
        file = download(page, tmp_path)
    again = tmp_path / 'by_command.jpg'
    arguments = [tmp_path / 'b.jpg', '-o', again, '--task', 'blurry']
    monkeypatch.setattr(sys, 'argv', ['dtir-mm', 'restore', *map(str, arguments)])
    assert commands.main() is None
    assert file.read_bytes() == again.read_bytes()
    assert Image.open(file).getexif()[0x10F] == 'a camera'


def test_strength_0_returns_the_pixels_and_another_photograph_clears_the_result(
    chromium, url, photo, tmp_path
):
    with open_page(chromium, url) as page:
        upload(page, photo)
        strength = page.get_by_label('number input for Strength')
        strength.fill('0')
        strength.press('Enter')
        assert FOUND.fullmatch(result_of(page))
        file = download(page, tmp_path)
        page.get_by_label('Clear').click()
        page.wait_for_function("!document.querySelector('textarea').value")
        assert page.get_by_role('button', name='Download').is_disabled()
    np.testing.assert_array_equal(read_image(file), read_image(photo))


def test_what_cannot_be_restored_is_answered_in_the_page(chromium, url, tmp_path):
    broken = tmp_path / 'a <b>broken&one.png'
    broken.write_bytes(b'no image')
    with open_page(chromium, url) as page:
        assert result_of(page) == 'Choose a photograph first.'
        upload(page, broken)
        page.wait_for_function("!document.querySelector('textarea').value")
        said = result_of(page)
        assert page.get_by_role('button', name='Download').is_disabled()
    assert re.fullmatch(
        r'a .*broken.*one\.png \(8 bytes\) is not an image that Pillow can read', said
    )


def ending(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['dtir-mm', 'demo', *arguments])
    with pytest.raises(SystemExit) as leaving:
        commands.main()
    return leaving.value.code


def test_a_missing_gradio_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert ending(monkeypatch) == 1
    assert capsys.readouterr().err == 'demo: the page needs gradio: pip install "gradio>=6"\n'


def test_a_port_in_use_is_named_before_anything_is_loaded(monkeypatch, capsys):
    pytest.importorskip('gradio')
    monkeypatch.setattr('dtir_mm.commands.demo.load_with_warning', None)
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = other.getsockname()[1]
        assert ending(monkeypatch, '--port', str(port)) == 1
    said = capsys.readouterr().err
    assert said.startswith(f'demo: port {port} cannot be used: ') and said.count('\n') == 1
    assert said.endswith('; choose another with --port\n')
    assert ending(monkeypatch, '--port', '70000') == 1
    assert 'port 70000 cannot be used' in capsys.readouterr().err
