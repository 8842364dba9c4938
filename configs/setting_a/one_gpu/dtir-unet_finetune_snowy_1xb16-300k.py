"""On one GPU: the same 16 samples an update, two at a time."""

_base_ = '../dtir-unet_finetune_snowy_8xb2-300k.py'
train_dataloader = dict(batch_size=16)
model = dict(step=dict(micro_batch_size=2))
load_from = 'work_dirs/dtir-unet_pretrain_snowy_1xb16-500k'
