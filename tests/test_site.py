"""The documentation site: built without warnings, complete, and without external requests."""

import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import dtir_mm
from dtir_mm import registry
from dtir_mm.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
SPHINX = [sys.executable, '-m', 'sphinx', '-b', 'html', '-n', '-W', '--keep-going', '-q']
# Loads something when a page is opened; links are fine.
LOADED = re.compile(
    r'<(?:script|img|iframe|source|video|audio|embed)[^>]+(?:src|srcset)="(?:https?:)?//[^"]+'
    r'|<link(?![^>]+rel="(?:next|prev|canonical)")[^>]+href="(?:https?:)?//[^"]+'
    r'|(?:@import|url\()\s*["\']?(?:https?:)?//[^"\')]+'
)

pytest.importorskip('sphinx', minversion='9', reason='needs Sphinx 9, and so Python 3.11')


def build(source: Path, conf: Path, out: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*SPHINX, '-c', conf, '-d', out.with_name('doctrees'), source, out],
        cwd=ROOT, env={**os.environ, 'PYTHONPATH': str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """What ``tools/build_docs.sh`` builds."""
    out = tmp_path_factory.mktemp('site') / 'html'
    result = build(ROOT, ROOT / 'docs', out)
    assert result.returncode == 0, result.stderr[-5000:]
    return out


@pytest.fixture(scope='module')
def documented(site):
    """The names of Python objects in the inventory of the site: four lines, then zlib."""
    inventory = (site / 'objects.inv').read_bytes().split(b'\n', 4)[4]
    lines = zlib.decompress(inventory).decode().splitlines()
    return {line.split()[0] for line in lines if line.split()[1].startswith('py:')}


def full_name(found: object) -> str:
    return f'{found.__module__}.{found.__qualname__}'


def public_objects() -> set[object]:
    """Public functions and classes of all modules but the commands, which have a page of help."""
    found = set()
    for module in pkgutil.walk_packages(dtir_mm.__path__, 'dtir_mm.'):
        if not module.name.startswith(('dtir_mm.commands', 'dtir_mm.__main__')):
            members = vars(importlib.import_module(module.name)).items()
            found |= {
                member
                for name, member in members
                if not name.startswith('_')
                and (inspect.isclass(member) or inspect.isfunction(member))
                and member.__module__ == module.name
            }
    return found


def test_every_public_name_has_an_entry(documented):
    apis = importlib.import_module('dtir_mm.apis')
    short = {f'dtir_mm.{name}': getattr(dtir_mm, name) for name in dtir_mm.__all__}
    short |= {f'dtir_mm.apis.{name}': getattr(apis, name) for name in apis.__all__}
    assert {f'dtir_mm.{name}' for name in dtir_mm.__all__} < documented
    by_short_name = {found for name, found in short.items() if name in documented}
    assert by_short_name == set(short.values())

    everything = public_objects()
    assert len(everything) > 400
    missing = {full_name(found) for found in everything - by_short_name} - documented
    assert missing == set(), 'a folder without a page in docs/api?'


def test_every_registered_name_is_listed(site, documented):
    page = (site / 'docs' / 'api' / 'registered.html').read_text()
    known = [each for each in vars(registry).values() if isinstance(each, registry.Registry)]
    for each in known:
        each.import_from_location()
    ours = {
        (full_name(found), name)
        for each in known
        for name, found in each.module_dict.items()
        if found.__module__.startswith('dtir_mm.')
    }
    assert len(ours) > 50 and {name for name, _ in ours} <= documented
    assert ours <= set(re.findall(r'#(dtir_mm\.[\w.]+)"[^>]*>.*?>(\w+)<', page))


def test_every_command_has_its_help(site):
    page = (site / 'docs' / 'commands.html').read_text()
    for name in COMMANDS:
        assert f'usage: dtir-mm {name}' in page, name


def test_docstrings_of_attributes_have_no_types(site):
    """Napoleon would take the words before a colon for one."""
    pages = {path.stem: path.read_text('utf-8') for path in (site / 'docs' / 'api').glob('*.html')}
    fields = set(re.findall('<dt class="field-(?:odd|even)">(.*?)<', ''.join(pages.values())))
    assert fields == {'Parameters', 'Raises', 'Variables'}
    weights = '<p>The weights of a checkpoint of ours: their average (EMA) if there is one.</p>'
    assert weights in pages['engine']


def test_pages_have_the_titles_of_the_navigation(site):
    page = (site / 'docs' / 'index.html').read_text()
    following = re.search('class="next-page" href="(.*?)".*?class="title">(.*?)<', page, re.S)
    assert following.groups() == ('../README.html', 'Get started')
    assert '<title>Get started - ' in (site / 'README.html').read_text()


def test_nothing_is_loaded_from_elsewhere(site):
    files = [path for path in site.rglob('*') if path.suffix in {'.html', '.css', '.js', '.svg'}]
    assert len(files) > 60
    found = {path.name: LOADED.findall(path.read_text('utf-8')) for path in files}
    assert {name: urls for name, urls in found.items() if urls} == {}


def test_the_first_page_leads_to_the_site(site):
    target = re.search('url=([^"]+)', (site / 'index.html').read_text())[1]
    assert 'dtir_mm' in (site / target).read_text()


@pytest.fixture
def small(tmp_path):
    """A repository with a page, a folder with a README, one without, and a program."""
    (tmp_path / 'conf').mkdir()
    (tmp_path / 'conf' / 'conf.py').write_text(
        f'import sys\nsys.path.insert(0, {str(ROOT / "docs" / "_ext")!r})\n'
        "extensions = ['myst_parser', 'repository_links']\nmyst_heading_anchors = 2\n"
    )
    (tmp_path / 'repo' / 'with').mkdir(parents=True)
    (tmp_path / 'repo' / 'with' / 'README.md').write_text('# Inside\n\n[up](../index.md#top)\n')
    (tmp_path / 'repo' / 'without').mkdir()
    (tmp_path / 'repo' / 'without' / 'run.py').write_text('print("<b>")\n')
    return tmp_path


PAGE = """# Top

[page](with), [folder](without), [file](without/run.py), `without/run.py` and `none.py`.

```{toctree}
with/README
```
"""


def test_links_lead_to_pages(small):
    (small / 'repo' / 'index.md').write_text(PAGE)
    result = build(small / 'repo', small / 'conf', small / 'html')
    assert result.returncode == 0, result.stderr
    page = (small / 'html' / 'index.html').read_text()
    links = re.findall(r'href="([^"#]+)[^>]*>(.*?)</a>', page)
    file = 'files/without/run.py.html'
    targets = {re.sub('<.*?>', '', text): target for target, text in links}
    assert targets['page'] == 'with/README.html' and targets['folder'] == 'files/without.html'
    assert targets['file'] == targets['without/run.py'] == file
    assert 'none.py' not in targets
    assert 'href="without/run.py.html"' in (small / 'html' / 'files' / 'without.html').read_text()
    assert '&lt;b&gt;' in (small / 'html' / file).read_text()


def test_broken_links_are_errors(small):
    broken = ['[a](gone.py)', '[b](with/gone.md)', '[c](with/README.md#gone)']
    (small / 'repo' / 'index.md').write_text('\n\n'.join([PAGE, *broken]))
    result = build(small / 'repo', small / 'conf', small / 'html')
    assert result.returncode == 1
    assert re.findall(r'index.md:(\d+): WARNING', result.stderr) == ['10', '12', '14']
