"""Every leaf config of the repository, resolved once, and what its name says."""

import re
from functools import cache
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
EXAMPLES = ROOT / 'examples'
TASKS = ('hazy', 'rainy', 'snowy', 'low_light', 'noisy')
LEAVES = sorted(
    path
    for path in (*CONFIGS.rglob('*.py'), *EXAMPLES.rglob('*.py'))
    if '_base_' not in path.parts and re.search(r'^(_base_|model) =', path.read_text(), re.M)
)
BY_STEM = {path.stem: path for path in LEAVES}
# Runs that the quickstart keeps elsewhere than where train.py puts them by default.
WORK_DIRS = {
    **{f'work_dirs/{stem}': stem for stem in BY_STEM},
    'work_dirs/quickstart/pretrain': 'quick_dtir-unet-w16_pretrain_1xb8-2000',
    'work_dirs/quickstart_released/pretrain': 'quick-released_dtir-unet-w16_pretrain_1xb8-2000',
}
NAME = re.compile(
    r'(?:(?P<kind>quick(?:-released)?|pilot|unified|released)_)?(?P<backbone>[a-z]+(?:-[a-z0-9]+)*)'
    r'(?:_(?P<stage>pretrain|finetune|scratch|naive|mixing|unified|joint|classify)(?:-\d+px)?)?'
    rf'(?:_(?P<task>{"|".join(TASKS)}))?'
    r'(?:_(?P<part>wo-\w+?|with-\w+?|order-\w+?|experts-\d+))?'
    r'_(?P<processes>\d+)xb(?P<batch>\d+)-(?:(?P<stages>\d+)x)?(?P<updates>\d+)(?P<unit>[km]?)'
)
OBJECTIVES = {
    'pretrain': ('NoisePrediction', 'Denoising'),
    'finetune': ('Reconstruction',),
    'scratch': ('Reconstruction',),
    'naive': ('Reconstruction',),
    'mixing': ('Reconstruction',),
    'unified': ('Reconstruction',),
    'joint': ('Reconstruction',),
    'classify': ('DegradationClassification',),
}


@cache
def load(path: Path) -> Config:
    """A leaf, resolved; copy it before changing it."""
    return Config.fromfile(path, import_custom_modules=False)


def parts_of(dataset: dict) -> list[dict]:
    """The single data sets that a data set's config is made of."""
    return [p for part in dataset['datasets'] for p in parts_of(part)] if (
        'datasets' in dataset
    ) else [dataset]  # fmt: skip


def disagreements(path: Path, config: Config) -> list[str]:
    """Where a leaf's name and place say something else than what it holds."""
    name = NAME.fullmatch(path.stem)
    if name is None:
        return ['its name does not follow the pattern']
    stage = name['stage'] or name['kind']
    objectives = OBJECTIVES[stage] if name['part'] != 'wo-gef' else OBJECTIVES['pretrain']
    updates = int(name['stages'] or 1) * int(name['updates'])
    updates *= {'': 1, 'k': 1000, 'm': 1_000_000}[name['unit']]
    processes, batch = int(name['processes']), int(name['batch'])
    base = CONFIGS / '_base_' / 'backbones' / f'{name["backbone"].replace("-", "_")}.py'
    backbone = {k: v for k, v in config.model.backbone.items() if k != 'adapters'}
    trained = parts_of(config.train_dataloader.dataset)
    claims = {
        'backbone': base.is_file() and backbone == load(base).backbone,
        'stage': config.model.step.objective.type in objectives,
        'updates': config.train_cfg.max_iters == updates,
        'batch': config.train_dataloader.batch_size == batch,
        'start': starts_as_named(name, stage, config.get('load_from')),
    }
    if name['task'] and stage != 'pretrain':
        claims['task'] = {part['task'] for part in trained} == {name['task']}
    if 'mini' not in path.parts:  # at paper size
        claims['global batch'] = processes * batch == 16
        claims['micro-batches'] = config.model.step.get('micro_batch_size') == (
            2 if processes == 1 else None
        )
    return [what for what, holds in claims.items() if not holds]


def starts_as_named(name: re.Match, stage: str, load_from: str | None) -> bool:
    """Whether a run starts from the run that its stage builds on, of its own backbone and batch."""
    if stage in ('pretrain', 'scratch') or name['part'] == 'wo-tmgp':
        return load_from is None
    source = NAME.fullmatch(WORK_DIRS.get(load_from, ''))
    if source is None or source['backbone'] != name['backbone']:
        return False
    at_paper_size = name['kind'] in (None, 'released')
    if at_paper_size and (source['task'], source['kind']) != (name['task'], name['kind']):
        return False
    if at_paper_size and source['processes'] != name['processes']:
        return False
    before = {'unified', 'classify'} if stage == 'classify' else {'pretrain'}
    return (source['stage'] or source['kind']) in before
