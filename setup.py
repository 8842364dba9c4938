"""Packaging; tools/setup_env.sh makes a whole environment."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def version() -> str:
    source = (ROOT / 'dtir_mm' / '__init__.py').read_text()
    return source.split("__version__ = '")[1].split("'")[0]


class BuildWithConfigs(build_py):
    """Copies configs/ into the package, where dtir_mm/named_configs.py finds them."""

    def run(self) -> None:
        """Also runs for editable installs, which use configs/ itself."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / 'dtir_mm' / 'configs'
            shutil.rmtree(target, ignore_errors=True)  # of an earlier build
            shutil.copytree(ROOT / 'configs', target, ignore=shutil.ignore_patterns('__pycache__'))


setup(
    name='dtir_mm',
    version=version(),
    description='Diffusion training paradigm for general image restoration (arXiv 2506.21722)',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    classifiers=[
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3',
        'Topic :: Multimedia :: Graphics',
        'Topic :: Scientific/Engineering :: Image Processing',
        'Typing :: Typed',
    ],
    packages=find_packages(include=['dtir_mm', 'dtir_mm.*']),
    package_data={'dtir_mm': ['py.typed', 'released/*', 'analysis/report/templates/*']},
    cmdclass={'build_py': BuildWithConfigs},
    entry_points={'console_scripts': ['dtir-mm = dtir_mm.commands:main']},
    python_requires='>=3.10',
    install_requires=requirements('runtime.txt') + requirements('mminstall.txt'),
    extras_require={
        'optional': requirements('optional.txt'),
        'docs': requirements('docs.txt'),
        'tests': requirements('tests.txt'),
    },
)
