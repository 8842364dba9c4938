"""Reads and writes weights as data, and identifies other files in messages."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dtir_mm import compat
from dtir_mm.files import replacing
from dtir_mm.json_files import parse_json

# In the metadata of what `dtir-mm deploy` writes: a network at one time step, or a whole restorer.
DEPLOYED_FORMAT = 'dtir_mm.deployed'
RELEASE_FORMAT = 'dtir_mm.restorer'

_HEAD = 4096
# First bytes of other files that are mistaken for weights.
_OTHER_KINDS = {
    b'\x1f\x8b': 'a gzip archive: unpack it first',
    b'BZh': 'a bzip2 archive: unpack it first',
    b'\xfd7zXZ': 'an xz archive: unpack it first',
    b'7z\xbc\xaf': 'a 7z archive: unpack it first',
    b'Rar!': 'a RAR archive: unpack it first',
    b'\x28\xb5\x2f\xfd': 'a zstd archive: unpack it first',
    b'\x89PNG': 'an image, not a checkpoint',
    b'\xff\xd8\xff': 'an image, not a checkpoint',
    b'\x89HDF': 'an HDF5 file (Keras, MATLAB): convert its weights to a state dict of torch',
}
_CONFIG_SUFFIXES = ('.py', '.json', '.yaml', '.yml')


class CheckpointError(RuntimeError):
    """A checkpoint cannot be read, or does not match the network."""


def read_weights_file(path: str | Path) -> Any:
    """Reads what ``torch.save`` or safetensors wrote, on the CPU, without running code in it.

    All tensors in it are dense, and not larger than the file.

    Raises:
        CheckpointError: it is missing, cannot be read, or is of another kind, which the message
            names.
    """
    path = Path(path)
    head = _head(path)
    if is_safetensors(head):
        weights, metadata = read_safetensors(path)
        if metadata.get('format') == DEPLOYED_FORMAT:
            origin = f' ({metadata["checkpoint"]})' if 'checkpoint' in metadata else ''
            raise CheckpointError(
                f'{path} is a deployed network, without time conditioning, which can only restore '
                f'and be tested: name the checkpoint that it was made from{origin} instead'
            )
        if metadata.get('format') == RELEASE_FORMAT:
            return _released(weights, metadata, path)
        return weights
    if head.startswith(b'PK\x03\x04'):
        _require_of_torch(path)
    elif not head.startswith(b'\x80'):  # a pickle, as torch wrote before 1.6
        raise CheckpointError(f'{path} is {_kind(path, head)}')
    content = _load(path)
    _require_plain(content, path)
    return content


def read_safetensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The named tensors of a safetensors file, and its metadata.

    Raises:
        CheckpointError: it is missing, damaged, or of another kind.
    """
    with _opened(path) as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, file.metadata() or {}


def read_metadata(path: str | Path) -> dict[str, str]:
    """The metadata of a safetensors file; CheckpointError as by ``read_safetensors``."""
    with _opened(path) as file:
        return file.metadata() or {}


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """A safetensors file, opened; all errors are CheckpointErrors."""
    from safetensors import SafetensorError, safe_open

    if not is_safetensors(head := _head(Path(path))):
        raise CheckpointError(
            f'{path} is no safetensors file'
            + ('' if head.startswith((b'PK', b'\x80')) else f', but {_kind(Path(path), head)}')
        )
    try:
        with safe_open(path, 'pt') as file:
            yield file
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f'{path} is an incomplete or damaged safetensors file: download or copy it again'
        ) from error


def _released(
    weights: dict[str, Tensor], metadata: dict[str, str], path: Path
) -> dict[str, dict[str, Any]]:
    """The content of a release file, as of a checkpoint; half precision becomes single."""
    try:
        meta = parse_json(metadata.get('meta', ''), f'the meta of {path}')
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(meta, dict):
        raise CheckpointError(f'{path}: its meta must be a dict, got {type(meta).__name__}')
    meta |= {'config_json': metadata.get('config', '')}
    whole = {n: w.float() if w.dtype == torch.float16 else w for n, w in weights.items()}
    return {'meta': meta, 'state_dict': whole}


def write_safetensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Writes a safetensors file atomically, with a copy for each name of a shared tensor."""
    from safetensors.torch import save

    # safetensors refuses tensors that share memory, as of a block with two names.
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # Not save_file, whose files only their owner may read.
    content = save(own, dict(metadata))
    with replacing(path, lambda: len(content)) as temporary:
        temporary.write_bytes(content)


def is_deployed(path: str | Path) -> bool:
    """Whether a file is a deployed network: of `dtir-mm deploy`, or ONNX, by its name.

    False for anything else, also for folders and for damaged and missing files.
    """
    try:
        if is_onnx(path):
            return Path(path).is_file()
        return read_metadata(path).get('format') == DEPLOYED_FORMAT
    except CheckpointError:
        return False


def is_onnx(path: str | Path) -> bool:
    """Whether a file is ONNX, by its name."""
    return Path(path).suffix.lower() == '.onnx'


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins like this is one: a JSON header's length, then the header."""
    return head[8:9] == b'{' and int.from_bytes(head[:8], 'little') <= 100_000_000


def _head(path: Path) -> bytes:
    try:
        if not path.exists():
            raise CheckpointError(f'no such checkpoint: {path}')
        if not path.is_file():
            raise CheckpointError(f'{path} is not a file: name a checkpoint')
        with open(path, 'rb') as file:
            return file.read(_HEAD)
    except OSError as error:
        raise CheckpointError(f'{path} cannot be read: {error.strerror}') from error


def _kind(path: Path, head: bytes) -> str:
    """The kind of a file that begins like this, and what to do."""
    if not head:
        return 'empty (0 bytes): download or copy it again'
    if is_onnx(path):
        return (
            'an ONNX network, by its name, which can only restore and be tested: name the '
            'checkpoint that it was made from instead'
        )
    for start, kind in _OTHER_KINDS.items():
        if head.startswith(start):
            return kind
    if head[257:262] == b'ustar':
        return 'a tar archive: unpack it first'
    if not _is_text(head):
        return (
            f'not a checkpoint or file of weights ({path.stat().st_size} bytes): what torch.save '
            f'wrote, or safetensors, would be'
        )
    if head.startswith(b'version https://git-lfs'):
        return 'a Git LFS pointer, not the file that it stands for: fetch that with "git lfs pull"'
    if head.lstrip().startswith(b'<'):
        return 'a web page, not weights: the download went wrong, get the file itself'
    if path.suffix in _CONFIG_SUFFIXES:
        return 'a config, by its name, where a checkpoint is expected'
    return 'a text file, not a checkpoint or file of weights'


def _is_text(head: bytes) -> bool:
    text = head.decode('utf-8', errors='ignore')  # the last character may be cut
    whole = len(text.encode()) > len(head) - 4
    return whole and all(c.isprintable() or c.isspace() for c in text.removeprefix('\ufeff'))


def _require_of_torch(path: Path) -> None:
    """Raises CheckpointError unless ``torch.save`` wrote a zip archive; refuses zip bombs."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise CheckpointError(
            f'{path} is incomplete ({path.stat().st_size} bytes): download or copy it again'
        ) from error
    names = [entry.filename for entry in entries]
    inside = [name.partition('/')[2] for name in names]
    if 'data.pkl' not in inside:
        raise CheckpointError(
            f'{path} is a zip archive of {len(names)} files ({", ".join(map(repr, names[:3]))}): '
            f'unpack it first, and name the file of weights in it'
        )
    if 'constants.pkl' in inside:
        raise CheckpointError(
            f'{path} is a TorchScript program, which is code: save the state_dict() of its network '
            f'by torch.save, and name that file'
        )
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CheckpointError(
            f'{path} holds more than its size, as torch.save never writes: it is damaged or made '
            f'to fill the memory'
        )


def _load(path: Path) -> Any:
    try:
        # An open file, because torch decides by the name whether it is a ".safetensors" file.
        with torch.serialization.safe_globals(compat.safe_checkpoint_globals()):
            with open(path, 'rb') as file:
                return torch.load(file, map_location='cpu', weights_only=True)
    # Not "from error": torch's messages advise to turn weights_only off, which would run code.
    except OSError as error:
        raise CheckpointError(f'{path} cannot be read: {error.strerror}') from None
    except Exception as error:  # damaged and hostile files may raise anything
        raise CheckpointError(f'{path} {_fault(error)}') from None


def _fault(error: Exception) -> str:
    text = str(error)
    if named := re.search(r'GLOBAL (\S+)', text):
        return (
            f'holds Python objects ({named[1]!r}), not only data, such as a whole model, and '
            f'loading it would run code. Save its weights instead, where that code is installed: '
            f'torch.save(model.state_dict(), "weights.pth")'
        )
    if isinstance(error, EOFError) or 'EOF' in text:
        return 'is incomplete: download or copy it again'
    if isinstance(error, MemoryError) or 'allocate memory' in text:
        return 'declares tensors that do not fit into the memory: it is damaged'
    return (
        'is not a checkpoint of plain data (tensors, numbers, strings), or is damaged: download or '
        'copy it again'
    )


def _require_plain(content: Any, path: Path) -> None:
    """Raises CheckpointError unless all tensors are dense, with all their values in the file."""
    open_parts, seen = [('', content)], set()
    while open_parts:
        name, part = open_parts.pop()
        if isinstance(part, Tensor):
            if problem := _not_plain(part):
                raise CheckpointError(
                    f'{path}: {name or "it"} is {problem}; a dense tensor would do'
                )
        elif isinstance(part, (Mapping, list, tuple)) and id(part) not in seen:
            seen.add(id(part))  # a pickle can hold itself
            items = part.items() if isinstance(part, Mapping) else enumerate(part)
            open_parts += [(f'{name}.{key}'.lstrip('.'), value) for key, value in items]


def _not_plain(tensor: Tensor) -> str | None:
    if tensor.is_meta:
        return 'a tensor without values'
    if tensor.layout is not torch.strided or tensor.is_nested:
        return f'a sparse tensor ({tensor.layout})'
    if tensor.is_quantized:
        return f'a quantized tensor ({tensor.dtype})'
    if tensor.numel() * tensor.element_size() > max(tensor.untyped_storage().nbytes(), 2**20):
        return f'a tensor {tuple(tensor.shape)} that repeats fewer values'
    return None
