"""Loads the weights of any file into a restorer or the network in it."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.logging import print_log
from torch import nn

from dtir_mm.engine.sharding import shard_like
from dtir_mm.models.matching_weights import Fit, fit, require_sound
from dtir_mm.models.release_weights import from_release, is_release
from dtir_mm.models.wrapped_weights import Candidate, candidates
from dtir_mm.weights_file import CheckpointError

_CLASSIFIER = 'classifier.'


def load_weights(
    restorer: nn.Module,
    content: Mapping[str, Any],
    source: str,
    new_parameter_prefixes: tuple[str, ...] = (),
    strict: bool = True,
) -> None:
    """Loads a restorer's weights; unless ``strict`` is False, names and shapes must be the same.

    Weights of other code bases may be in a dict or under a prefix (``wrapped_weights.py``). If they
    are of an unconditioned network, the rest of the restorer keeps its initial values; files of the
    authors' released code have the time conditioning as well. A classifier in the file is left out,
    which is logged, if the restorer has none: fine-tuning a blind model needs no classifier.

    Args:
        restorer: the model.
        content: of the file.
        source: its name in messages.
        new_parameter_prefixes: of parameters that the stage adds, which keep their initial values
            if the file has none under that prefix.
        strict: if False, tensors that match by name and shape are loaded, and others are logged.

    Raises:
        CheckpointError: names or shapes differ (or, if not strict, nothing matches), or values are
            non-finite; the message shows them.
    """
    fits = _fits(restorer, content, source, new_parameter_prefixes)
    part, found = max(fits, key=lambda each: len(each[1].names))
    name = type(part).__name__
    if not found.names or (strict and not found.is_exact):
        raise CheckpointError(found.difference(source, name))
    weights = {key: found.candidate.weights[key] for key in found.names}
    require_sound(weights, part, source)
    part.load_state_dict(
        {
            key: shard_like(weights.get(key, value), value)
            for key, value in part.state_dict().items()
        }
    )
    notes = [found.candidate.found] if found.candidate.found else []
    if part is not restorer:
        notes.append(f'into {name} only: the rest of the restorer keeps its initial values')
    if not found.is_exact:
        kept = [key for key in found.expected if key not in weights]
        unused = [key for key in found.candidate.weights if key not in weights]
        notes.append(f'{len(kept)} of the network keep their values: {", ".join(kept)}')
        notes.append(f'{len(unused)} of the file are not used: {", ".join(unused)}')
    if notes:
        print_log(f'{source}: {len(weights)} tensors loaded, {"; ".join(notes)}', 'current')


def _fits(
    restorer: nn.Module,
    content: Mapping[str, Any],
    source: str,
    new_parameter_prefixes: tuple[str, ...],
) -> Iterator[tuple[nn.Module, Fit]]:
    """The weights in a file, with the module that they belong to: the restorer or its network."""
    for candidate in candidates(content, source):
        if is_release(candidate.weights):
            try:
                ours = from_release(candidate.weights)
            except ValueError as error:
                raise CheckpointError(f'{source}: {error}') from error
            candidate = candidate._replace(weights={f'backbone.{n}': w for n, w in ours.items()})
        names = candidate.weights
        wrapped = any(name.startswith('backbone.') for name in names)
        part = restorer if wrapped else restorer.get_submodule('backbone.net')
        if part is restorer:
            candidate = _without_spare_classifier(candidate, part)
        absent = tuple(
            p for p in new_parameter_prefixes if not any(name.startswith(p) for name in names)
        )
        expected = {n: v for n, v in part.state_dict().items() if not n.startswith(absent)}
        yield part, fit(candidate, expected)


def _without_spare_classifier(candidate: Candidate, restorer: nn.Module) -> Candidate:
    """The weights without a classifier, unless the restorer has one, too."""
    kept = {n: w for n, w in candidate.weights.items() if not n.startswith(_CLASSIFIER)}
    has_classifier = any(name.startswith(_CLASSIFIER) for name in restorer.state_dict())
    if has_classifier or len(kept) == len(candidate.weights):
        return candidate
    left_out = 'without the classifier, which this model does not have'
    return Candidate(kept, ', '.join(filter(None, [candidate.found, left_out])))
