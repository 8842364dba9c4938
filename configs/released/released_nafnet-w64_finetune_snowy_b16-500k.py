"""Setting A, stage 2: NAFNet fine-tuned on Snow100K, generalization to RealSnow."""

_base_ = [
    '../_base_/stages/released/finetune.py',
    '../_base_/datasets/setting_a_snowy.py',
    '../_base_/schedules/released_500k.py',
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
load_from = 'work_dirs/released_nafnet-w64_pretrain_snowy_b16-100k'
