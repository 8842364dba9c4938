"""Stage 2 in the quickstart's size: 6000 updates on rain, from the pre-trained weights."""

_base_ = './quick_dtir-unet-w16_finetune_noisy_1xb8-1200.py'
train_dataloader = dict(dataset=dict(task='rainy'))
val_dataloader = dict(dataset=dict(task='rainy'))
test_dataloader = dict(dataset=dict(task='rainy'))
train_cfg = dict(max_iters=6000, val_interval=2000)  # after 1200 it still gives its input back
