"""Setting A, baseline: NAFNet from random weights on Snow100K, generalization to RealSnow."""

_base_ = [
    '../_base_/stages/paper/scratch.py',
    '../_base_/datasets/setting_a_snowy.py',
    '../_base_/schedules/adam_cosine.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(
        type='mmagic.NAFNet', mid_channels=64, enc_blk_nums=[1, 1, 1, 28], middle_blk_num=1,
        dec_blk_nums=[1, 1, 1, 1],
    )),
    timesteps='paper',
    step=dict(micro_batch_size=2),
)  # fmt: skip
