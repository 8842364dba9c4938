"""The paper-size U-Net: 27.8 M parameters with its time conditioning (Table 5)."""

backbone = dict(type='ConditionedBackbone', backbone=dict(type='DtirUNet'))
