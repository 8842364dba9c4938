"""Stage 2 of recipe `released`: 1000 updates on rain, from the pre-trained weights."""

_base_ = './quick-released_dtir-unet-w16_finetune_noisy_1xb8-1000.py'
train_dataloader = dict(dataset=dict(task='rainy'))
val_dataloader = dict(dataset=dict(task='rainy'))
test_dataloader = dict(dataset=dict(task='rainy'))
