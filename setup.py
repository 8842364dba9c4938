"""Packaging; tools/setup_env.sh makes a whole environment."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def version() -> str:
    source = (ROOT / 'dtir_mm' / '__init__.py').read_text()
    return source.split("__version__ = '")[1].split("'")[0]


setup(
    name='dtir_mm',
    version=version(),
    description='Diffusion training paradigm for general image restoration (arXiv 2506.21722)',
    license='Apache-2.0',
    packages=find_packages(include=['dtir_mm', 'dtir_mm.*']),
    package_data={'dtir_mm': ['released/*']},
    python_requires='>=3.10',
    install_requires=requirements('runtime.txt') + requirements('mminstall.txt'),
    extras_require={
        'optional': requirements('optional.txt'),
        'tests': requirements('tests.txt'),
    },
)
