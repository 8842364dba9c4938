"""The released model is found in the installation, or its absence is explained."""

import pytest

from dtir_mm import released_model as module
from dtir_mm.released_model import released_model


def test_it_is_a_file_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'files', lambda package: {'dtir_mm': tmp_path}[package])
    with pytest.raises(
        FileNotFoundError, match=r'not in this installation \(.*dtir-mm\.safe.*name a'
    ):
        released_model()
    (tmp_path / 'released').mkdir()
    (tmp_path / 'released' / 'dtir-mm.safetensors').touch()
    assert released_model() == tmp_path / 'released' / 'dtir-mm.safetensors'
