"""Setting A, stage 2: the authors' NAFNet fine-tuned on Snow100K, generalization to RealSnow."""

_base_ = [
    '../_base_/stages/released/finetune.py',
    '../_base_/datasets/setting_a_snowy.py',
    '../_base_/schedules/released_500k.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(
        type='ConditionedBackbone', backbone=dict(type='ReleasedNAFNet'),
        time_embedding=dict(type='GatedTimeEmbedding'), neutral_films=False,
    ),
    timesteps='paper',
    step=dict(micro_batch_size=2),
)  # fmt: skip
load_from = 'work_dirs/released_nafnet-w48_pretrain_snowy_b16-100k'
