"""Which images are restored, and where each result goes."""

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dtir_mm.apis.restored_json import NAME
from dtir_mm.datasets.image_folders import left_out_line, list_folder, list_tree, no_image_in
from dtir_mm.image_file import format_of, is_written
from dtir_mm.names import listed, shortened, shown

_ENDING = '_restored'
_LONGEST_NAME = 255  # bytes
_NAMED = 20
_SLASHES = tuple(filter(None, (os.sep, os.altsep)))
Item = TypeVar('Item')


@dataclass(frozen=True)
class Job:
    """One image to restore.

    Attributes:
        source: the image.
        result: the file to write.
        comparison: the file to write with both side by side; None for none.
        folder: that of the results of a call, which gets their record; None if there is none.
    """

    source: Path
    result: Path
    comparison: Path | None
    folder: Path | None

    @property
    def targets(self) -> list[Path]:
        """The files to write."""
        return [self.result] if self.comparison is None else [self.result, self.comparison]


@dataclass(frozen=True)
class Plan:
    """What a call does.

    Attributes:
        jobs: the images to restore.
        left_out: lines about files that are not restored.
    """

    jobs: list[Job]
    left_out: list[str]

    def without_existing(self, overwrite: bool, skip: bool) -> 'Plan':
        """The plan without the images that have a result, if they are to be skipped.

        Raises:
            ValueError: results exist, and neither ``overwrite`` nor ``skip`` is set.
        """
        # ``lexists``: a link to nowhere would be replaced as well.
        there = [job for job in self.jobs if any(map(os.path.lexists, job.targets))]
        if overwrite or not there:
            return self
        if skip:  # a comparison without its result is of a call that was interrupted
            there = [job for job in there if os.path.lexists(job.result)]
        else:
            first = next(target for target in there[0].targets if os.path.lexists(target))
            raise ValueError(
                f'{shown(first)} exists ({len(there)} of {len(self.jobs)} results do): give '
                f'--overwrite to replace them, or --skip-existing to restore the others'
            )
        kept = set(there)
        return Plan([job for job in self.jobs if job not in kept], self.left_out)


@dataclass(frozen=True)
class Naming:
    """Names of the results.

    Args:
        suffix: such as ".png"; None for the format of each image, or PNG where that is not written.
        compare: write comparisons as well.
    """

    suffix: str | None = None
    compare: bool = False

    def in_folder(self, source: Path, folder: Path, within: Path = Path()) -> Job:
        """The job of an image whose result has the same name in ``folder / within``."""
        result = folder / within / _fitting(source.stem, self._suffix_for(source))
        return self.as_file(source, result, folder)

    def beside(self, source: Path) -> Job:
        """The job of ``PHOTO.png`` whose result is ``PHOTO_restored.png`` beside it."""
        name = _fitting(source.stem, f'{_ENDING}{self._suffix_for(source)}')
        return self.as_file(source, source.with_name(name))

    def as_file(self, source: Path, result: Path, folder: Path | None = None) -> Job:
        """The job of an image whose result is that file."""
        return Job(source, result, _comparison_of(result) if self.compare else None, folder)

    def _suffix_for(self, source: Path) -> str:
        return self.suffix or (source.suffix if is_written(source.suffix) else '.png')


def make_plan(
    inputs: Sequence[str | Path], output: str | Path | None, naming: Naming, recursive: bool = False
) -> Plan:
    """The plan for images, folders, and patterns such as ``photos/*.jpg``.

    Args:
        inputs: paths and patterns.
        output: a file, for one image; or a folder, which may end with a slash. None for results
            beside the images, and for those of a folder ``PHOTOS`` in ``PHOTOS_restored``.
        naming: names of the results in a folder or beside the images.
        recursive: restore the sub-folders of folders as well.

    Raises:
        FileNotFoundError: a folder contains no image, nothing matches a pattern, or no
            input exists.
        ValueError: two images would become the same file, an image would be replaced, several
            images have one file as their output, or its format is not written.
    """
    given = [path for each in inputs for path in _matches(str(each))]
    paths = _each_once(given, lambda path: [path])  # relative and absolute
    if not any(map(os.path.lexists, paths)):
        raise FileNotFoundError(f'no such image file: {listed(paths, _NAMED)}')
    if output is not None and _is_file(os.fspath(output), paths, naming):
        plan = Plan([naming.as_file(paths[0], Path(output))], [])
    else:
        folder = None if output is None else Path(output)
        plan = _under_their_names(paths, folder, naming, recursive)
    _require_separate(plan.jobs)
    return plan


def _is_file(output: str, paths: list[Path], naming: Naming) -> bool:
    """Whether an output is the file of the only image."""
    suffix = Path(output).suffix
    if output.endswith(_SLASHES) or Path(output).is_dir() or not suffix:
        return False
    if len(paths) > 1 or paths[0].is_dir():
        if is_written(suffix):
            raise ValueError(
                f'{shown(output)} is one file: name a folder for several images, or end its name '
                f'with a slash'
            )
        return False
    if not is_written(suffix):
        raise ValueError(
            f'{shown(output)}: results are not written as {suffix!r}; use .png, .jpg, .tif or '
            f'.webp, or end the name of a folder with a slash'
        )
    if naming.suffix is not None and format_of(naming.suffix) != format_of(suffix):
        raise ValueError(f'--format {naming.suffix[1:]} contradicts the output {shown(output)}')
    return True


def _under_their_names(
    paths: list[Path], output: Path | None, naming: Naming, recursive: bool
) -> Plan:
    """The plan whose results have the names of the images."""
    jobs: list[Job] = []
    left_out: list[str] = []
    earlier = _in_results_of_others(paths, output)
    set_aside = set(earlier)  # there may be thousands
    for path in (path for path in paths if path not in set_aside):
        if path.is_dir():
            folder = output or _folder_beside(path)
            images, others = list_tree(path, folder) if recursive else list_folder(path)
            closed = not recursive and any(other.is_dir() for other in others)
            remedy = ' (sub-folders need --recursive)' if closed else ''
            if not images:
                raise FileNotFoundError(no_image_in(path, others) + remedy)
            jobs += [
                naming.in_folder(image, folder, image.relative_to(path).parent) for image in images
            ]
            if others:
                left_out.append(left_out_line(path, others, _NAMED) + remedy)
        else:
            jobs.append(naming.in_folder(path, output) if output else naming.beside(path))
    # An image may be given by name and in its folder.
    jobs = _each_once(jobs, lambda job: [job.source, job.result])
    results = _results_among(jobs)
    earlier += [job.source for job in results]
    if earlier:
        names = listed(earlier, _NAMED)
        left_out.append(f'{len(earlier)} skipped that are results of other inputs: {names}')
    return Plan([job for job in jobs if job not in results], left_out)


def _each_once(items: Iterable[Item], paths_of: Callable[[Item], list[Path]]) -> list[Item]:
    """The items without those whose paths are the same as an earlier one's, if made absolute."""
    first: dict[tuple[str, ...], Item] = {}
    for item in items:
        first.setdefault(tuple(map(os.path.abspath, paths_of(item))), item)
    return list(first.values())


def _matches(text: str) -> list[Path]:
    """The path itself, or those that match a pattern."""
    if os.path.lexists(text) or not glob.has_magic(text):
        return [Path(text)]
    found = sorted(glob.glob(text, recursive=True))
    if not found:
        raise FileNotFoundError(f'no file matches {shown(text)}')
    return [Path(path) for path in found]


def _in_results_of_others(paths: list[Path], output: Path | None) -> list[Path]:
    """The inputs that are, or lie in, a folder of earlier results, where those of others go."""
    if output is None or not (output / NAME).is_file():
        return []
    folder = Path(os.path.abspath(output))
    found = [path for path in paths if Path(os.path.abspath(path)).is_relative_to(folder)]
    return found if len(found) < len(paths) else []


def _results_among(jobs: list[Job]) -> dict[Job, None]:
    """The jobs whose images are results of the others, of an earlier call; a set in their order."""
    others = [job for job in jobs if job.result != job.source]
    paths = [path for job in others for path in (job.result, _comparison_of(job.result))]
    written = set(map(os.path.abspath, paths))
    return dict.fromkeys(job for job in others if os.path.abspath(job.source) in written)


def _comparison_of(result: Path) -> Path:
    """PNG keeps what every format holds, at any width."""
    return result.with_name(_fitting(result.stem, '_compare.png'))


def _folder_beside(folder: Path) -> Path:
    named = folder if folder.name not in ('', '..') else folder.resolve()
    if not named.name:
        raise ValueError(f'{shown(folder)} has no folder beside it: name one with --output')
    return named.with_name(_fitting(named.name, _ENDING))


def _fitting(stem: str, ending: str) -> str:
    """The name ``stem + ending``, with a shortened stem if it would be too long."""
    fits = len(os.fsencode(stem + ending)) <= _LONGEST_NAME
    return (stem if fits else shortened(stem)) + ending


def _require_separate(jobs: list[Job]) -> None:
    """Raises ValueError if a file would be written twice, or an image replaced."""
    sources: dict[str, Path] = {}
    images = {identity(job.source): job.source for job in jobs}
    images.pop(None, None)
    for job in jobs:
        for target in job.targets:
            first = sources.setdefault(os.path.abspath(target), job.source)
            if first != job.source:
                raise ValueError(
                    f'{shown(first)} and {shown(job.source)} would both become {shown(target)}: '
                    f'restore them in two calls with different outputs'
                )
            if (image := images.get(identity(target))) is not None:
                raise ValueError(
                    f'{shown(target)} would replace the image {shown(image)}, which is never '
                    f'overwritten: name another output'
                )


def identity(path: Path) -> tuple[int, int] | None:
    """What the names and links of a file share; None if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
