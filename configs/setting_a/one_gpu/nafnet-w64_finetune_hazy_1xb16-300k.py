"""On one GPU: the same 16 samples an update, two at a time."""

_base_ = '../nafnet-w64_finetune_hazy_8xb2-300k.py'
train_dataloader = dict(batch_size=16)
model = dict(step=dict(micro_batch_size=2))
load_from = 'work_dirs/nafnet-w64_pretrain_hazy_1xb16-500k'
