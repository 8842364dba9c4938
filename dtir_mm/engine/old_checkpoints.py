"""Converts checkpoints of version 0.1, which had five restorer classes.

Their config and the name of their stage differ; weights, importance and optimiser do not.
"""

import json
from collections.abc import Mapping
from typing import Any

from dtir_mm.json_files import parse_json

# The former classes, and the objective of each.
_OBJECTIVES = {
    'GenerativePretrainer': 'noise',
    'ZeroShotRestorer': 'noise',
    'FinetuneRestorer': 'content',
    'UnifiedRestorer': 'content',
    'ClassifierTrainer': 'classifier_loss',
}
_KEPT = ('backbone', 'timesteps', 'tile', 'tile_overlap', 'classifier')


def upgraded(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint with its config and stage in the current form."""
    meta = checkpoint.get('meta')
    stage = meta.get('stage') if isinstance(meta, Mapping) else None
    if not isinstance(meta, Mapping) or not isinstance(stage, str) or stage not in _OBJECTIVES:
        return checkpoint
    meta = {**meta, 'objective': _OBJECTIVES[stage]}
    del meta['stage']
    try:
        config = parse_json(meta['config_json'], 'the config')
        meta['config_json'] = json.dumps({**config, 'model': upgraded_model(config['model'])})
    except (AttributeError, KeyError, TypeError, ValueError):
        pass  # building from that config will say what is wrong with it
    return {**checkpoint, 'meta': meta}


def upgraded_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """A restorer's config in the current form."""
    kind = str(model.get('type')).removeprefix('dtir_mm.')  # a scope, where a config names it
    if kind not in _OBJECTIVES:
        return dict(model)
    new = {'type': 'Restorer', **{key: model[key] for key in _KEPT if key in model}}
    new['backbone'] = upgraded_backbone(model['backbone'])
    if model.get('schedule'):
        new['schedule'] = {'type': 'VariancePreserving', **model['schedule']}
    scale = 'sigma' if kind == 'ZeroShotRestorer' else model.get('residual_scale', 'sigma_floor')
    new['head'] = {'type': 'NoiseHead', 'residual_scale': scale}
    if kind == 'ZeroShotRestorer':
        new['passes'] = 'sdedit' if model.get('inference') == 'sdedit' else 'one'
    elif 'inference' in model:
        new['inference'] = model['inference']
    new['step'] = _step(model, _OBJECTIVES[kind])
    return new


def upgraded_backbone(backbone: Mapping[str, Any]) -> dict[str, Any]:
    """A ``ConditionedBackbone``'s config in the current form."""
    new = {key: value for key, value in backbone.items() if key != 'embedding_dim'}
    if 'embedding_dim' in backbone:
        new['time_embedding'] = {'dim': backbone['embedding_dim']}
    return new


def _step(model: Mapping[str, Any], objective: str) -> dict[str, Any]:
    noise = {**(model.get('noise_loss') or {}), 'type': 'NoisePrediction'}
    step: dict[str, Any] = {'micro_batch_size': model.get('micro_batch_size')}
    if objective == 'noise':
        return {**step, 'objective': noise}
    if objective == 'classifier_loss':
        return {**step, 'objective': {'type': 'DegradationClassification'}}
    mixing = {'type': 'SampleMixing', 'objective': noise, 'ratio': model.get('mix_ratio', 0.1)}
    mixing['rounding'] = model.get('mix_rounding', 'round')
    regularizers: dict[str, Any] = {}
    if importance := model.get('importance_loss'):
        regularizers['importance'] = {**importance, 'type': 'ImportancePenalty'}
    if orthogonality := model.get('orthogonality_loss'):
        if orthogonality.get('implementation') == 'project':
            regularizers['projection'] = {'type': 'GradientProjection'}
        else:
            renamed = {'groups' if k == 'num_groups' else k: v for k, v in orthogonality.items()}
            regularizers['orthogonality'] = {**renamed, 'type': 'GradientOrthogonality'}
    content = {'type': 'Reconstruction'}
    return {**step, 'objective': content, 'mixing': mixing, 'regularizers': regularizers}
