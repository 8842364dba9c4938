"""A limit on the memory that building a network from a file's config may allocate."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from dtir_mm.weights_file import CheckpointError

# Networks need about the memory of their weights, twice for half precision or if they are built
# twice, plus some for tables of indices and masks.
_PER_BYTE = 8
_ANYWAY = 2**30
_PER_TENSOR = 2**15  # for the modules, so that their number is limited too
_MAKERS = frozenset(
    (
        torch.arange, torch.empty, torch.eye, torch.full, torch.linspace, torch.logspace,
        torch.ones, torch.rand, torch.randint, torch.randn, torch.randperm, torch.zeros,
        Tensor.new_empty, Tensor.new_full, Tensor.new_ones, Tensor.new_zeros,
    )
)  # fmt: skip


@contextmanager
def in_proportion_to(file: str | Path) -> Iterator[None]:
    """Context in which building a network much larger than its file of weights fails.

    Raises:
        CheckpointError: the network is too large for the file.
    """
    size = Path(file).stat().st_size
    limit = _Limit(_ANYWAY + _PER_BYTE * size)
    try:
        with limit:
            yield
    except Exception:  # registries wrap exceptions
        if not limit.exceeded:
            raise
        raise CheckpointError(
            f'{file} describes a network of more than {limit.bytes / 2**30:.0f} GiB, but has '
            f'{size / 2**20:.1f} MiB of weights: they cannot belong to it'
        ) from None


class _Limit(TorchFunctionMode):
    """Limits the total bytes of tensors that are created from explicit sizes.

    (A ``TorchDispatchMode`` sees all tensors, but imports torch's compiler, which takes seconds.)
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.bytes = limit
        self.exceeded = False
        self._made = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _MAKERS:
            explicit = {name: value for name, value in kwargs.items() if name != 'generator'}
            self._made += _PER_TENSOR + func(*args, **{**explicit, 'device': 'meta'}).nbytes
            if self._made > self.bytes:
                self.exceeded = True
                raise MemoryError(f'more than {self.bytes} bytes')
        return func(*args, **kwargs)
