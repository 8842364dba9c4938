"""``open_page`` of browser.py: what it lets a page do, and what it reports."""

import re

import pytest
from browser import open_page

PIXEL = 'data:image/gif;base64,R0lGODlhAQABAAAAACw='


def test_a_page_may_use_its_own_files(chromium, tmp_path):
    (tmp_path / 'page.html').write_text(f'<img src="{PIXEL}"><script src="own.js"></script>')
    (tmp_path / 'own.js').write_text('document.title = innerWidth')
    with open_page(chromium, (tmp_path / 'page.html').as_uri(), 390) as page:
        assert page.title() == '390'


@pytest.mark.parametrize(
    ('body', 'problem'),
    [
        ('<img src="http://example.com/x.png">', 'request to http://example.com/x.png'),
        ('<script>throw Error("mine")</script>', 'exception: mine'),
        ('<script>console.error("mine")</script>', 'console: mine'),
    ],
)
def test_requests_and_errors_fail_a_test(chromium, tmp_path, body, problem):
    (tmp_path / 'page.html').write_text(body)
    with pytest.raises(AssertionError, match=re.escape(problem)):
        with open_page(chromium, (tmp_path / 'page.html').as_uri()):
            pass
