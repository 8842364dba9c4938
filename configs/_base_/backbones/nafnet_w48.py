"""The network of the authors' released code: 68.3 M parameters with its time conditioning."""

backbone = dict(
    type='ConditionedBackbone',
    backbone=dict(type='ReleasedNAFNet'),
    time_embedding=dict(type='GatedTimeEmbedding'),
    neutral_films=False,
)
