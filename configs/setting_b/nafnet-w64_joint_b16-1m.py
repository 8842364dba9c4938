"""Setting B without TIT: NAFNet learns ten tasks together, for 1 M updates."""

_base_ = [
    '../_base_/stages/paper/joint.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/adam_cosine_joint_1m.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(
        type='mmagic.NAFNet', mid_channels=64, enc_blk_nums=[1, 1, 1, 28], middle_blk_num=1,
        dec_blk_nums=[1, 1, 1, 1],
    )),
    step=dict(micro_batch_size=2),
)  # fmt: skip
load_from = 'work_dirs/nafnet-w64_pretrain_b16-500k'
