"""docs/method.md names files and functions that exist, and switches that configs have."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs' / 'method.md').read_text()
REFERENCES = sorted(set(re.findall(r'`([\w/]+)\.py:(\w+)`', PAGE)))


def test_the_page_refers_to_code():
    assert len(REFERENCES) > 15


@pytest.mark.parametrize(('module', 'name'), REFERENCES)
def test_references_exist(module, name):
    assert hasattr(importlib.import_module(f'dtir_mm.{module.replace("/", ".")}'), name)
