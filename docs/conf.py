"""Settings of the documentation site: Sphinx over the Markdown files of the whole repository."""

import sys
from pathlib import Path

from dtir_mm import __version__

sys.path.insert(0, str(Path(__file__).parent / '_ext'))

project = 'dtir_mm'
author = 'the dtir_mm contributors'
release = __version__
extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'generated',
    'navigation_titles',
    'plain_attributes',
    'repository_links',
]

# The source folder is the repository, so that a link from one Markdown file to another is the same
# on GitHub and in the site.
root_doc = 'docs/index'
include_patterns = [
    'docs/**',
    '*.md',
    'configs/*/README.md',
    'dtir_mm/released/README.md',
    'examples/*/README.md',
    'experiments/README.md',
]
exclude_patterns = ['.*', '**/_*', 'build', 'data', 'work_dirs']  # not searched

myst_heading_anchors = 4
autodoc_typehints = 'signature'
python_maximum_signature_line_length = 88
napoleon_use_ivar = True
# Our docstrings do not repeat types: "a: b" after "Returns:" is a sentence.
napoleon_custom_sections = [('Returns', 'generic')]

nitpicky = True
nitpick_ignore_regex = [
    # Links into other packages' documentation would need a network at build time.
    ('py:.*', r'(?!dtir_mm\.).*'),
    # Type variables have no entry.
    ('py:class', r'dtir_mm\..*\.(Item|Result)'),
]

html_theme = 'furo'
html_extra_path = ['_extra']  # index.html of the whole site
html_title = f'dtir_mm {release}'
html_copy_source = False
html_show_copyright = False
html_static_path = ['_static']
html_css_files = ['site.css']
