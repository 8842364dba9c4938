"""Loads restorers from files of every kind."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from mmengine.device import get_device

from dtir_mm import trust
from dtir_mm.apis.deployed_restorer import deployed_restorer_config, public_restorer_config
from dtir_mm.config import read_config
from dtir_mm.engine.checkpoint import Checkpoint, load_checkpoint
from dtir_mm.memory_limit import in_proportion_to
from dtir_mm.models.restorers.restorer import Restorer
from dtir_mm.registry import MODELS
from dtir_mm.weights_file import is_deployed


def load_restorer(
    checkpoint: str | Path | Checkpoint,
    config: str | Path | None = None,
    allow_imports: bool = False,
    **overrides: Any,
) -> Restorer:
    """The restorer in a file of any kind, in evaluation mode.

    Public weights need no config: their architecture is detected. They have no time conditioning,
    nor has a deployed network, of `dtir-mm deploy` or ONNX, which restores at the time step that it
    was deployed at (``DeployedBackbone``).

    Args:
        checkpoint: a checkpoint, a work directory (its newest one), a release file, public weights,
            a deployed network; or from ``load_checkpoint``.
        config: config file to build from; None for the config in the checkpoint. Time steps are
            the checkpoint's, if it has any.
        allow_imports: import the modules that the checkpoint's own config names under
            ``custom_imports``: code from wherever the checkpoint came from.
        overrides: keys of the config's ``model`` to replace, e.g. ``tile=512``.

    Raises:
        CheckpointError: it cannot be read, is of another architecture, or carries no config.
        ValueError: its config needs imports, unregistered names or other files, and
            ``allow_imports`` is False; it has weights of an unknown network, or of one that does
            not restore; or ``config`` is given for a deployed network.
    """
    if not isinstance(checkpoint, Checkpoint):
        if is_deployed(checkpoint):
            return _deployed_restorer(checkpoint, config, overrides)
        checkpoint = load_checkpoint(checkpoint)
    if config is None and not checkpoint.meta.is_ours:
        return _public_restorer(checkpoint, overrides)
    limit: AbstractContextManager = nullcontext()
    if config is not None:
        settings = read_config(config).to_dict()
    else:
        settings = checkpoint.config
        trust.import_if_allowed(settings, allow_imports, checkpoint.path)
        limit = in_proportion_to(checkpoint.path)
    model = _model_of(settings, config or checkpoint.path)
    if checkpoint.meta.is_ours:  # else the config's own
        model['timesteps'] = checkpoint.timesteps
    trusted = config is not None or allow_imports
    with limit, trust.building(model, 'model', checkpoint.path, trusted):
        restorer = MODELS.build({**model, **overrides})
    checkpoint.load_into(restorer)
    restorer.trained_tasks = checkpoint.meta.tasks
    return restorer.to(get_device()).eval()


def load_with_warning(
    path: str | Path,
    config: str | Path | None = None,
    allow_imports: bool = False,
    task: str | None = None,
) -> tuple[Restorer, str | None]:
    """``load_restorer`` of a file, and a warning if it was not trained to restore (the task)."""
    if is_deployed(path):
        return load_restorer(path, config), None
    checkpoint = load_checkpoint(path)
    return load_restorer(checkpoint, config, allow_imports), checkpoint.warning([task])


def _deployed_restorer(
    path: str | Path, config: str | Path | None, overrides: dict[str, Any]
) -> Restorer:
    if config is not None:
        raise ValueError(f'{path} is a deployed network, which is complete without {config}')
    model = deployed_restorer_config(path)
    return MODELS.build({**model, **overrides}).to(get_device()).eval()


def _public_restorer(checkpoint: Checkpoint, overrides: dict[str, Any]) -> Restorer:
    model = public_restorer_config(checkpoint.content, checkpoint.path)
    return MODELS.build({**model, **overrides}).to(get_device()).eval()


def _model_of(settings: dict[str, Any], source: str | Path) -> dict[str, Any]:
    model = settings.get('model')
    if not isinstance(model, dict):
        raise ValueError(
            f'the config in {source} must have a dict "model", got {type(model).__name__}'
        )
    return {**model}
