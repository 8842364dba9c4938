"""Atomic replacement of files, and messages on a full disk."""

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from dtir_mm.files import (
    DiskFullError,
    ExistsByNowError,
    replacing,
    require_writable,
    write_text,
)

Usage = namedtuple('Usage', 'total used free')


def disk_with(free: int):
    return lambda folder: Usage(2**40, 2**40 - free, free)


@pytest.mark.parametrize(
    ('letters', 'needed', 'free'),
    [(2**21, '4.00 MiB', '2.50 MiB'), (2**10, '2.0 KiB', '514.0 KiB')],  # of two bytes in UTF-8
)
def test_a_full_disk_is_named_with_what_is_needed_and_free(
    tmp_path, monkeypatch, letters, needed, free
):
    path = tmp_path / 'table.csv'
    write_text(path, 'old')

    def full(self, content):
        with self.open('wb') as half:
            half.write(content[: 2**21])
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(Path, 'write_bytes', full)
    monkeypatch.setattr(shutil, 'disk_usage', disk_with(free=2**19))
    with pytest.raises(DiskFullError) as error:
        write_text(path, 'é' * letters)
    assert f'is full: {path} needs {needed}, and {free} were free. What' in str(error.value)
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EDQUOT])
def test_later_errors_do_not_hide_a_full_disk(tmp_path, code):
    with (
        pytest.raises(DiskFullError, match=r'new\.pth needs more than the .*B that were free'),
        replacing(tmp_path / 'new.pth'),
    ):
        try:
            raise OSError(code, 'full')
        finally:
            raise RuntimeError('unexpected pos 2822976 vs 2822864')


@pytest.mark.parametrize(('free', 'raised'), [(4096, DiskFullError), (2**30, RuntimeError)])
def test_writers_without_a_reason_are_explained_by_the_disk(tmp_path, monkeypatch, free, raised):
    monkeypatch.setattr(shutil, 'disk_usage', disk_with(free))
    with pytest.raises(raised) as error, replacing(tmp_path / 'new.pth') as temporary:
        temporary.symlink_to('/dev/full')
        torch.save(torch.zeros(2**20), temporary)
    assert (raised is DiskFullError) == ('the disk' in str(error.value))
    assert list(tmp_path.iterdir()) == []


def test_other_errors_are_not_changed_on_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', disk_with(free=0))
    for wrong in (TypeError('a float'), PermissionError(errno.EACCES, 'Permission denied')):
        with pytest.raises(type(wrong)) as error, replacing(tmp_path / 'new'):
            raise wrong
        assert error.value is wrong


@pytest.mark.parametrize(
    ('code', 'kind', 'reason'),
    [
        (errno.EACCES, PermissionError, 'Permission denied (its folder cannot be written to)'),
        (errno.EROFS, OSError, 'Read-only file system (its folder cannot be written to)'),
        (errno.EMFILE, OSError, 'Too many open files'),
    ],
)
def test_a_file_that_cannot_be_created_is_named_itself(tmp_path, monkeypatch, code, kind, reason):
    def refuse(self, content):
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, 'write_bytes', refuse)
    path = tmp_path / 'a.txt'
    with pytest.raises(OSError) as error:
        write_text(path, 'text')
    assert str(error.value) == f"[Errno {code}] {reason}: '{path}'"
    assert (type(error.value), error.value.filename) == (kind, str(path))


def test_a_folder_that_takes_no_files_is_named_as_such():
    with pytest.raises(FileNotFoundError, match=r"cannot be written to\): '/proc/a\.txt'$"):
        write_text('/proc/a.txt', 'text')


def test_a_folder_in_place_of_the_file_is_not_called_a_temporary_one(tmp_path):
    (tmp_path / 'a').mkdir()
    with pytest.raises(IsADirectoryError) as error:
        write_text(tmp_path / 'a', 'text')
    assert str(error.value) == f"[Errno 21] Is a directory: '{tmp_path / 'a'}'"
    assert list(tmp_path.iterdir()) == [tmp_path / 'a']


def test_folders_on_a_full_disk_are_rejected_early(tmp_path, monkeypatch):
    require_writable(tmp_path / 'new')
    assert list((tmp_path / 'new').iterdir()) == []

    def full(self, content):
        self.touch()
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(OSError, match=r'output folder .*new: No space left on device'):
        require_writable(tmp_path / 'new')
    assert list((tmp_path / 'new').iterdir()) == []


@pytest.mark.parametrize('links', [True, False])
def test_a_file_that_must_be_new_replaces_none(tmp_path, monkeypatch, links):
    """Also on file systems without hard links."""
    if not links:
        monkeypatch.setattr('os.link', lambda *paths: (_ for _ in ()).throw(PermissionError()))
    path = tmp_path / 'a.txt'
    with replacing(path, new=True) as temporary:
        temporary.write_text('first')
    with pytest.raises(ExistsByNowError, match=r'a\.txt exists by now, and is not replaced'):
        with replacing(path, new=True) as temporary:
            temporary.write_text('second')
    assert path.read_text() == 'first' and list(tmp_path.iterdir()) == [path]
    with replacing(path) as temporary:
        temporary.write_text('third')
    assert path.read_text() == 'third'
