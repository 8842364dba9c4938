"""Every leaf config of the repository, resolved once, and what its name claims."""

import re
from functools import cache
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
EXAMPLES = ROOT / 'examples' / 'custom_backbone'  # others have data of their own
TASKS = ('hazy', 'rainy', 'snowy', 'low_light', 'noisy')
LEAVES = sorted(
    path
    for path in (*CONFIGS.rglob('*.py'), *EXAMPLES.rglob('*.py'))
    if '_base_' not in path.parts and re.search(r'^(_base_|model) =', path.read_text(), re.M)
)
BY_STEM = {path.stem: path for path in LEAVES}
# The quickstart uses other folders than the defaults of train.py.
WORK_DIRS = {
    **{f'work_dirs/{stem}': stem for stem in BY_STEM},
    'work_dirs/quickstart/pretrain': 'quick_dtir-unet-w16_pretrain_b8-2000',
    'work_dirs/quickstart_released/pretrain': 'quick-released_dtir-unet-w16_pretrain_b8-2000',
}
NAME = re.compile(
    r'(?:(?P<kind>quick(?:-paper|-released)?|unified|released|blind)_)?(?P<backbone>[a-z]+(?:-[a-z0-9]+)*)'
    r'(?:_(?P<stage>pretrain|finetune|scratch|unified|joint|cooldown|classify)(?:-\d+px)?)?'
    rf'(?:_(?P<task>{"|".join(TASKS)}))?'
    r'(?:_(?P<part>wo-\w+?|with-\w+?|order-\w+?|experts-\d+))?'
    r'_b(?P<batch>\d+)-(?:(?P<stages>\d+)x)?(?P<updates>\d+)(?P<unit>[km]?)'
)
SMALL_UNET = dict(
    type='DtirUNet', channel_multipliers=(1, 2, 4), blocks_per_level=(1, 1), middle_blocks=2,
    attention=False,
)  # fmt: skip
NETWORKS = {
    'dtir-unet': dict(type='DtirUNet'),
    'dtir-unet-w16': dict(SMALL_UNET, width=16),
    'dtir-unet-w32': dict(SMALL_UNET, width=32),
    'local-unet': dict(type='LocalUNet'),
    'nafnet-w48': dict(type='ReleasedNAFNet'),
    'nafnet-w64': dict(
        type='mmagic.NAFNet', mid_channels=64, enc_blk_nums=[1, 1, 1, 28], middle_blk_num=1,
        dec_blk_nums=[1, 1, 1, 1],
    ),
    'xrestormer': dict(type='XRestormer'),
}  # fmt: skip
# The released network has its own time conditioning.
CONDITIONING = {
    'nafnet-w48': dict(time_embedding=dict(type='GatedTimeEmbedding'), neutral_films=False)
}
OBJECTIVES = {
    'pretrain': ('NoisePrediction', 'Denoising'),
    'finetune': ('Reconstruction',),
    'scratch': ('Reconstruction',),
    'unified': ('Reconstruction',),
    'joint': ('Reconstruction',),
    'cooldown': ('Reconstruction',),
    'classify': ('DegradationClassification',),
}
# The stages that a stage may start from, if not from pre-training.
BEFORE = {'classify': {'unified', 'classify', 'cooldown'}, 'cooldown': {'joint', 'cooldown'}}


def chain(path: Path) -> list[Path]:
    """The longest chain of files from a config to a base without bases."""
    namespace: dict = {}
    match = re.search(r'^_base_ = (\[.*?\]|\'.*?\')', path.read_text(), re.M | re.S)
    exec(match[0] if match else '_base_ = []', namespace)
    bases = namespace['_base_']
    bases = [bases] if isinstance(bases, str) else bases
    return [path, *max((chain((path.parent / b).resolve()) for b in bases), key=len, default=[])]


@cache
def load(path: Path) -> Config:
    """A leaf, resolved; copy it before changing it."""
    return Config.fromfile(path, import_custom_modules=False)


def parts_of(dataset: dict) -> list[dict]:
    """The single data sets that a data set's config consists of."""
    return [p for part in dataset['datasets'] for p in parts_of(part)] if (
        'datasets' in dataset
    ) else [dataset]  # fmt: skip


def disagreements(path: Path, config: Config) -> list[str]:
    """Which claims of a leaf's name and folder its content contradicts."""
    name = NAME.fullmatch(path.stem)
    if name is None:
        return ['its name does not follow the pattern']
    stage = name['stage'] or name['kind']
    objectives = OBJECTIVES[stage] if name['part'] != 'wo-gef' else OBJECTIVES['pretrain']
    updates = int(name['stages'] or 1) * int(name['updates'])
    updates *= {'': 1, 'k': 1000, 'm': 1_000_000}[name['unit']]
    backbone = {k: v for k, v in config.model.backbone.items() if k != 'adapters'}
    expected = dict(
        type='ConditionedBackbone',
        backbone=NETWORKS.get(name['backbone']),
        **CONDITIONING.get(name['backbone'], {}),
    )
    trained = parts_of(config.train_dataloader.dataset)
    claims = {
        'backbone': backbone == expected,
        'stage': config.model.step.objective.type in objectives,
        'updates': config.train_cfg.max_iters == updates,
        'batch': config.get('global_batch_size') == int(name['batch']),
        'start': starts_as_named(name, stage, config.get('load_from')),
    }
    if name['task'] and stage != 'pretrain':
        claims['task'] = {part['task'] for part in trained} == {name['task']}
    if not {'mini', 'release'} & {*path.parts}:  # at paper size
        claims['paper batch'] = int(name['batch']) == 16
        if name['part'] != 'wo-gef':  # which is not trained
            claims['micro-batches'] = config.model.step.get('micro_batch_size') == 2
    return [what for what, holds in claims.items() if not holds]


def starts_as_named(name: re.Match, stage: str, load_from: str | None) -> bool:
    """Whether a run starts from the run that its stage builds on, with the same backbone."""
    blind = name['kind'] == 'blind'
    if (
        name[0] == 'blind_local-unet_joint_b8-60k'
        or stage in ('pretrain', 'scratch')
        or name['part'] == 'wo-tmgp'
    ):
        return load_from is None
    source = NAME.fullmatch(WORK_DIRS.get(load_from, ''))
    if source is None or source['backbone'] != name['backbone']:
        return False
    at_paper_size = name['kind'] in (None, 'released')
    if at_paper_size and (source['task'], source['kind']) != (name['task'], name['kind']):
        return False
    before = {'joint'} if blind and stage == 'joint' else BEFORE.get(stage, {'pretrain'})
    return (source['stage'] or source['kind']) in before
