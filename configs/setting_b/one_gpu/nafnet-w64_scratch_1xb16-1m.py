"""On one GPU: the same 16 samples an update, two at a time."""

_base_ = '../nafnet-w64_scratch_8xb2-1m.py'
train_dataloader = dict(batch_size=16)
model = dict(step=dict(micro_batch_size=2))
