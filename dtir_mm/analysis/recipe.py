"""Summary of a config: sizes, data and initial weights."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from dtir_mm.datasets.named_folders import dataset_configs, folders_of
from dtir_mm.models.restorers.task_timesteps import TaskTimesteps
from dtir_mm.registry import MODELS

_NUM_STEPS = 50  # default T of the noise schedules


def count_parameters(model: Mapping[str, Any]) -> dict[str, int]:
    """The number of parameters of each part of a restorer, from its config.

    Parts are built on the meta device, without memory for weights, unless the network is known only
    from its weights (``PublicNetwork``).
    """
    with torch.device('cpu' if 'file' in model['backbone']['backbone'] else 'meta'):
        backbone = MODELS.build(model['backbone'])
        classifier = MODELS.build(model['classifier']) if model.get('classifier') else None
    parts = {
        'network': [backbone.net],
        'time conditioning': [backbone.time_embedding, backbone.films],
        'restoration head': [backbone.restoration_head],
        'adapters': [backbone.adapters],
        'classifier': [classifier],
    }
    return {
        name: sum(p.numel() for module in modules if module for p in module.parameters())
        for name, modules in parts.items()
    }


def summarize_recipe(config: Mapping[str, Any], stem: str) -> list[tuple[str, str]]:
    """The lines (what, value) of the summary of a resolved config called ``stem``."""
    model = config['model']
    lines = [
        ('objective', _objective(model)),
        ('diffusion', _diffusion(model)),
        ('network', _network(model)),
        ('updates', _updates(config)),
        ('global batch', _global_batch(config)),
        ('optimiser', _optimiser(config)),
        ('regularization', _regularization(config)),
        ('time steps', _timesteps(config)),
        *_data(config, 'train_dataloader', 'trains on'),
        *_data(config, 'test_dataloader', 'tests on'),
        ('protocol', _protocol(config)),
        ('precision, seed', _precision_and_seed(config)),
        ('starts from', config.get('load_from') or 'random weights'),
        ('writes to', config.get('work_dir') or str(Path('work_dirs') / stem)),
    ]
    return [(what, value) for what, value in lines if value]


def _protocol(config: Mapping[str, Any]) -> str:
    evaluator = config.get('test_evaluator')
    return evaluator.get('protocol', '') if isinstance(evaluator, Mapping) else ''


def _precision_and_seed(config: Mapping[str, Any]) -> str:
    seed = (config.get('randomness') or {}).get('seed')
    return f'{config.get("precision", "fp32")}, {"any" if seed is None else seed}'


def format_summary(lines: list[tuple[str, str]]) -> str:
    """The lines of ``summarize_recipe`` in two columns; repeated labels are left blank."""
    width = max(len(what) for what, _ in lines)
    shown, previous = [], None
    for what, value in lines:
        shown.append(f'{"" if what == previous else what:<{width}}  {value}')
        previous = what
    return '\n'.join(shown)


def _network(model: Mapping[str, Any]) -> str:
    counts = count_parameters(model)
    parts = [f'{name} {count / 1e6:.2f} M' for name, count in counts.items() if count]
    total = f'{sum(counts.values()):,} parameters'
    return f'{model["backbone"]["backbone"]["type"]}, {total}: {", ".join(parts)}'


def _updates(config: Mapping[str, Any]) -> str:
    loop = config['train_cfg']
    text = f'{loop["max_iters"]:,}, validation every {loop["val_interval"]:,}'
    tasks = config['default_hooks'].get('incremental_tasks')
    if tasks and tasks.get('data') != 'joint':
        text += f'; tasks join one after another, {tasks["order"]}, {tasks["data"]}'
    return text


def _global_batch(config: Mapping[str, Any]) -> str:
    total = config.get('global_batch_size')
    micro = config['model']['step'].get('micro_batch_size')
    share = config['train_dataloader'].get('batch_size')
    text = str(total or f'{share} x the number of processes')
    return text + (f', in micro-batches of {micro}' if micro else '')


def _optimiser(config: Mapping[str, Any]) -> str:
    wrapper = config['optim_wrapper']
    optimizer = dict(wrapper['optimizer'])
    clip = wrapper.get('clip_grad') or {}
    texts = [optimizer.pop('type'), *(f'{key}={value}' for key, value in optimizer.items())]
    texts += [f'clip {key}={value}' for key, value in clip.items()]
    schedule = config.get('param_scheduler') or []
    parts = [schedule] if isinstance(schedule, Mapping) else schedule
    ends = {part['type']: part.get('eta_min') for part in parts}
    texts += [name if end is None else f'{name} to {end}' for name, end in ends.items()]
    return ', '.join(texts)


def _objective(model: Mapping[str, Any]) -> str:
    objective = model['step']['objective']
    losses = [
        ' '.join([loss['type'], *(f'{k}={v}' for k, v in loss.items() if k != 'type')])
        for loss in (objective.get('losses') or {}).values()
        if loss
    ]
    return objective['type'] + (f': {" + ".join(losses)}' if losses else '')


def _diffusion(model: Mapping[str, Any]) -> str:
    schedule, head = ((model.get(key) or {'type': ''})['type'] for key in ('schedule', 'head'))
    low, high = model.get('image_range', (-1, 1))
    return (
        f'{schedule or "VariancePreserving"}, {head or "NoiseHead"}, images in [{low:g}, {high:g}]'
    )


def _regularization(config: Mapping[str, Any]) -> str:
    """Mixing, regularizers and layer-wise decay."""
    step, hooks = config['model']['step'], config['default_hooks']
    texts = []
    mixing = step.get('mixing') or {}
    if mixing.get('ratio'):
        texts.append(f'{mixing["ratio"]:.0%} generative samples')
    if mixing.get('probability'):
        use = 'added' if mixing.get('added') else 'only logged'
        texts.append(f'generative loss in {mixing["probability"]:.0%} of the updates, {use}')
    if mixing.get('cap') and texts:
        texts[-1] += f', capped at {mixing["cap"]} of the content gradient per tensor'
    regularizers = step.get('regularizers') or {}
    if importance := regularizers.get('importance'):
        texts.append(f'L_reg {importance["form"]} x {importance.get("weight", 0)}')
        if 'share' in importance:
            texts[-1] += f' in {importance["share"]:.0%} of the updates'
    if orthogonality := regularizers.get('orthogonality'):
        texts.append(f'L_orthog {orthogonality.get("implementation", "group")}')
        texts[-1] += f' every {orthogonality.get("interval", 8)} updates'
    if regularizers.get('projection'):
        texts.append('generative gradients projected')
    if decay := hooks.get('layer_wise_decay'):
        texts.append(f'layer-wise decay {decay["gate"]}, a = {decay["rate"]}')
    return ', '.join(texts)


def _timesteps(config: Mapping[str, Any]) -> str:
    spec = config['model'].get('timesteps', 'paper')
    parts = dataset_configs(config, 'train_dataloader')
    tasks = [part['task'] for part in parts if 'task' in part]
    if not tasks:
        return ''
    if isinstance(spec, str) and spec.endswith('.json') and not Path(spec).is_file():
        return f'those of {spec}, which does not exist yet'
    schedule = config['model'].get('schedule') or {}
    steps = TaskTimesteps(spec, schedule.get('num_steps', _NUM_STEPS))
    known = [task for task in tasks if task in steps]
    texts = [f'{task} {steps[task]}' for task in sorted(known, key=steps.__getitem__)]
    return ', '.join(texts + [f'none yet for {task}' for task in tasks if task not in known])


def _data(config: Mapping[str, Any], loader: str, what: str) -> Iterator[tuple[str, str]]:
    for part in dataset_configs(config, loader):
        domains = part.get('severities') or [part.get('domain', 'source')]
        named = f'{part["task"]} ({", ".join(domains)}): ' if 'task' in part else ''
        folders = folders_of(part) or (part['type'],)
        yield what, named + ', '.join(str(folder) for folder in folders if folder)
