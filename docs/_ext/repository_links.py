"""Links from Markdown to files and folders of the repository that are not pages of the site.

A folder with a README is that page. Any other folder, and any file, gets a page of its own, which
shows it; so does a Python file that a page names as code, as in `tools/train.py` or
`diffusion/sampling.py:ddpm_step`.
"""

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.transforms import SphinxTransform

_LANGUAGES = {'.py': 'python', '.sh': 'bash', '.json': 'json'}
_CODE = re.compile(r'([\w/]+\.py)(:\w+)?')


class RepositoryLinks(SphinxTransform):
    """Points links at pages, and notes the files and folders that need one."""

    default_priority = 500

    def apply(self) -> None:
        """See ``SphinxTransform``."""
        for link in list(self.document.findall(_is_link)):
            self._follow(link)
        for code in list(self.document.findall(nodes.literal)):
            if isinstance(code.parent, nodes.paragraph | nodes.entry):
                self._link_code(code)

    def _follow(self, link: nodes.Element) -> None:
        path = Path(self.env.doc2path(self.env.docname)).parent.joinpath(link['reftarget'])
        readme = path / 'README.md'
        if readme.is_file():
            docname = self.env.path2doc(str(readme.resolve()))
            link.attributes |= {'refdomain': 'doc', 'reftarget': docname, 'reftargetid': None}
        elif path.exists():
            link.replace_self(self._reference(path.resolve(), *link.children))

    def _link_code(self, code: nodes.literal) -> None:
        if match := _CODE.fullmatch(code.astext()):
            for folder in (self.env.srcdir, self.env.srcdir / 'dtir_mm'):
                if (folder / match[1]).is_file():
                    code.replace_self(self._reference(folder / match[1], code.deepcopy()))
                    return

    def _reference(self, path: Path, *content: nodes.Node) -> nodes.reference:
        shown: set[str] = self.env.__dict__.setdefault('shown_files', set())
        name = path.relative_to(self.env.srcdir).as_posix()
        shown.add(name)
        uri = self.app.builder.get_relative_uri(self.env.docname, _page(name))
        return nodes.reference('', '', *content, internal=True, refuri=uri)


def _is_link(node: nodes.Node) -> bool:
    """Whether MyST has not found a page for a link."""
    kinds = pending_xref | download_reference
    return isinstance(node, kinds) and node.get('reftype') == 'myst' and not node['refdomain']


def _page(name: str) -> str:
    return f'files/{name}'


def _pages(app: Sphinx) -> Iterator[tuple[str, dict[str, str], str]]:
    """The pages of files and folders."""
    builder = app.builder
    assert isinstance(builder, StandaloneHTMLBuilder)
    names: set[str] = getattr(app.env, 'shown_files', set())
    folders = {name: _files(app.srcdir / name) for name in names if (app.srcdir / name).is_dir()}
    for folder, files in folders.items():
        links = [
            f'<li><a href="{builder.get_relative_uri(_page(folder), _page(name))}">'
            f'{escape(Path(name).relative_to(folder).as_posix())}</a></li>'
            for name in (path.relative_to(app.srcdir).as_posix() for path in files)
        ]
        yield _html(folder, f'<ul>{"".join(links)}</ul>')
    inside = {path.relative_to(app.srcdir).as_posix() for each in folders.values() for path in each}
    for name in sorted(names - folders.keys() | inside):
        path = app.srcdir / name
        language = _LANGUAGES.get(path.suffix, 'text')
        yield _html(name, builder.highlighter.highlight_block(path.read_text('utf-8'), language))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob('*') if path.suffix in _LANGUAGES)


def _html(name: str, body: str) -> tuple[str, dict[str, str], str]:
    title = escape(name).replace('/', '/<wbr>')
    return _page(name), {'title': name, 'body': f'<h1>{title}</h1>{body}'}, 'page.html'


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_transform(RepositoryLinks)
    app.connect('html-collect-pages', _pages)
    return {'parallel_read_safe': False}
