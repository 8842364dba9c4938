"""Pages are called everywhere what the toctrees of the first page call them.

Sphinx uses these titles in the sidebar only: "next" and "previous", and the title of the browser's
window, would be the page's first heading, which is that of the project in the README.
"""

from docutils import nodes
from sphinx.addnodes import toctree
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def _rename(app: Sphinx, env: BuildEnvironment) -> None:
    """Titles that a toctree states replace the headings."""
    for tree in env.tocs[app.config.root_doc].findall(toctree):
        for title, page in tree['entries']:
            if title and page in env.titles:
                env.titles[page] = env.longtitles[page] = nodes.title('', title)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect('env-updated', _rename)
    return {'parallel_read_safe': True}
