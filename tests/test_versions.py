"""Versions of packages that dtir_mm does not work with are one line with the remedy."""

from importlib.metadata import PackageNotFoundError

import pytest

from dtir_mm import versions


def set_versions(monkeypatch: pytest.MonkeyPatch, **installed: str | None) -> None:
    known = {'torch': '2.14.1', 'mmengine': '0.10.7', 'mmcv-lite': '2.1.0', 'mmagic': '1.2.0'}
    known |= {name.replace('_', '-'): value for name, value in installed.items()}

    def version(name: str) -> str:
        if known.get(name) is None:
            raise PackageNotFoundError(name)
        return known[name]

    monkeypatch.setattr(versions, 'version', version)


@pytest.mark.parametrize(
    'installed',
    [{}, {'torch': '2.14.1+cu130'}, {'mmcv_lite': None, 'mmcv': '2.0.1'}, {'mmagic': None}],
)
def test_supported_versions_pass(monkeypatch, installed):
    set_versions(monkeypatch, **installed)
    versions.check_versions()


@pytest.mark.parametrize(
    ('installed', 'found', 'remedy'),
    [
        ({'torch': '2.5.1+cu118'}, '2.5.1+cu118', 'torch>=2.6'),
        ({'torch': '3.0.0'}, '3.0.0', 'torch>=2.6,<3'),
        ({'mmengine': '0.9.1'}, '0.9.1', 'mmengine==0.10.7'),
        ({'mmengine': '0.11.0'}, '0.11.0', 'mmengine==0.10.7'),
        ({'mmcv': '1.7.2', 'mmcv_lite': None}, '1.7.2', 'mmcv-lite==2.1.0'),
        ({'mmcv': '2.2.0'}, '2.2.0', 'mmcv-lite==2.1.0'),
        ({'mmagic': '1.1.0'}, '1.1.0', '--no-deps mmagic==1.2.0'),
        ({'mmengine': None}, 'needs mmengine', 'mmengine==0.10.7'),
        ({'mmcv_lite': None}, 'needs mmcv', 'mmcv-lite==2.1.0'),
    ],
)
def test_unsupported_versions_are_one_line_with_the_remedy(monkeypatch, installed, found, remedy):
    set_versions(monkeypatch, **installed)
    with pytest.raises(ImportError) as error:
        versions.check_versions()
    message = str(error.value)
    assert found in message
    assert 'pip install' in message and remedy in message
    assert '\n' not in message
