"""A U-Net of 1.06 M parameters with its time conditioning, for CPUs with some patience."""

backbone = dict(
    type='ConditionedBackbone',
    backbone=dict(
        type='DtirUNet',
        width=32,
        channel_multipliers=(1, 2, 4),
        blocks_per_level=(1, 1),
        middle_blocks=2,
        attention=False,
    ),
)
