"""On one GPU: the same 16 samples an update, two at a time."""

_base_ = '../dtir-unet_pretrain_hazy_8xb2-500k.py'
train_dataloader = dict(batch_size=16)
model = dict(step=dict(micro_batch_size=2))
