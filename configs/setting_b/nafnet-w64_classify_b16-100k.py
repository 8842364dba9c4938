"""Setting B, beyond the paper: a degradation classifier beside NAFNet."""

_base_ = [
    '../_base_/stages/classify.py',
    '../_base_/datasets/setting_b.py',
    '../_base_/schedules/adam_cosine.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConditionedBackbone', backbone=dict(
        type='mmagic.NAFNet', mid_channels=64, enc_blk_nums=[1, 1, 1, 28], middle_blk_num=1,
        dec_blk_nums=[1, 1, 1, 1],
    )),
    step=dict(micro_batch_size=2),
)  # fmt: skip
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_iters=100_000, val_interval=100_000)
load_from = 'work_dirs/nafnet-w64_unified_b16-10x100k'
