"""Matching the weights in a file to a network, and checking their values."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import Tensor, nn

from dtir_mm.models.wrapped_weights import Candidate, described
from dtir_mm.weights_file import CheckpointError


class Fit(NamedTuple):
    """A candidate, the tensors of a network, and the names that have the same shape in both."""

    candidate: Candidate
    expected: Mapping[str, Tensor]
    names: list[str]

    @property
    def is_exact(self) -> bool:
        """Whether these are all of both."""
        return len(self.names) == len(self.expected) == len(self.candidate.weights)

    def difference(self, source: str, target: str) -> str:
        """Three lines on what does not match in the file and in the network."""
        weights, fitting = self.candidate.weights, set(self.names)
        rest, wanted = (
            {name: value for name, value in part.items() if name not in fitting}
            for part in (weights, self.expected)
        )
        found = f' (taken {self.candidate.found})' if self.candidate.found else ''
        return (
            f'{source} holds weights of another architecture than {target}: {len(fitting)} of the '
            f'{len(weights)} tensors{found} fit by name and shape. The others:\n'
            f'  in the file: {described(rest)}\n'
            f'  in {target}: {described(wanted)}'
        )


def fit(candidate: Candidate, expected: Mapping[str, Tensor]) -> Fit:
    """Matches a candidate to the tensors of a network, in the network's order."""
    weights = candidate.weights
    names = [n for n, v in expected.items() if n in weights and weights[n].shape == v.shape]
    return Fit(candidate, expected, names)


def best(fits: Iterable[Fit]) -> Fit:
    """The first of those with the most matching tensors."""
    return max(fits, key=lambda fit: len(fit.names))


def require_same_architecture(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str, target: str
) -> None:
    """Raises CheckpointError unless weights have the names and shapes of the expected ones.

    The message shows the differences; ``source`` and ``target`` name the two in it.
    """
    found = fit(Candidate(dict(weights), ''), expected)
    if not found.is_exact:
        raise CheckpointError(found.difference(source, target))


def require_sound(weights: Mapping[str, Tensor], network: nn.Module, source: str) -> None:
    """Raises CheckpointError for values that a network's tensors cannot have.

    That is, values of another kind (integer, complex), or not finite in the network's precision.
    Buffers, such as masks, may hold infinity, but not NaN.
    """
    parameters = dict(network.named_parameters())
    for name, expected in network.state_dict().items():
        if name not in weights:
            continue
        value = weights[name]
        if _kind(value) != _kind(expected):
            raise CheckpointError(
                f'{source}: {name} is {value.dtype} in the file, but must be {expected.dtype} as '
                f'in the network'
            )
        values = value.to(expected.dtype)
        broken = ~values.isfinite() if name in parameters else values.isnan()
        if count := int(broken.sum()):
            raise CheckpointError(
                f'{source}: {count} of {value.numel()} values of {name} are not finite (NaN or '
                f'infinite): the training that wrote it diverged, or the file is damaged. Take an '
                f'earlier checkpoint'
            )


def _kind(tensor: Tensor) -> str:
    if tensor.is_complex():
        return 'complex'
    return 'real' if tensor.is_floating_point() else 'whole'
