"""Setting A, stage 1: NAFNet learns to predict noise in the clean images of LOL-v1."""

_base_ = [
    '../_base_/stages/paper/pretrain.py',
    '../_base_/datasets/clean_pretrain.py',
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
train_dataloader = dict(dataset=dict(folder='data/LOL-v1/train/GT'))
val_dataloader = dict(dataset=dict(folder='data/LOL-v1/test/GT'))
train_cfg = dict(max_iters=500_000)
