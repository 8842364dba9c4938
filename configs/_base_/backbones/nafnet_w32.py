"""NAFNet, width 32 (17.1 M parameters), of mmagic; time enters once a stage."""

backbone = dict(
    type='ConditionedBackbone',
    backbone=dict(
        type='mmagic.NAFNet',
        mid_channels=32,
        enc_blk_nums=[1, 1, 1, 28],
        middle_blk_num=1,
        dec_blk_nums=[1, 1, 1, 1],
    ),
)
