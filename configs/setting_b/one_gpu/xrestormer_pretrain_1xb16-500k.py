"""On one GPU: the same 16 samples an update, two at a time."""

_base_ = '../xrestormer_pretrain_8xb2-500k.py'
train_dataloader = dict(batch_size=16)
model = dict(step=dict(micro_batch_size=2))
