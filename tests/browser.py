"""Pages in headless Chromium, which must neither report errors nor contact other hosts."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

NAMES = ('chromium', 'chromium-browser', 'google-chrome')
# Headless, as root in a container, and without the services that a browser calls by itself.
ARGUMENTS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
]
HEIGHT = 900


def launch() -> Iterator[Any]:
    """A Playwright browser, of an installed Chromium; skips the test where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip('Chromium is not installed (apt-get install chromium)')
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def open_page(chromium: Any, url: str, width: int = 1280, **context: Any) -> Iterator[Any]:
    """A page of ``width`` CSS pixels, at ``url``.

    When the block ends, the test fails if there were errors on the console, exceptions, or requests
    to another host than the page's own; those requests are blocked. ``context`` is what
    Playwright's ``new_context`` accepts, e.g. ``color_scheme='dark'``.
    """
    problems: list[str] = []
    own = _origin(url)

    def allow_own(route: Any) -> None:
        if _origin(route.request.url) in (own, ('data', ''), ('blob', '')):
            route.continue_()
        else:
            problems.append(f'request to {route.request.url}')
            route.abort()

    opened = chromium.new_context(viewport={'width': width, 'height': HEIGHT}, **context)
    try:
        opened.route('**/*', allow_own)
        page = opened.new_page()
        page.on('pageerror', lambda error: problems.append(f'exception: {error}'))
        page.on(
            'console',
            lambda said: problems.append(f'console: {said.text}') if said.type == 'error' else None,
        )
        page.goto(url)
        yield page
    finally:
        opened.close()
    assert not problems, '; '.join(problems)


def _origin(url: str) -> tuple[str, str]:
    """What two addresses of one page share; a blob belongs to the page that made it."""
    parts = urlsplit(url)
    return (parts.scheme.replace('wss', 'https').replace('ws', 'http'), parts.netloc)
