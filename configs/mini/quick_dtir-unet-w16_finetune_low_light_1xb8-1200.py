"""Stage 2 in the quickstart's size: 1200 updates on low light, from the pre-trained weights."""

_base_ = './quick_dtir-unet-w16_finetune_noisy_1xb8-1200.py'
train_dataloader = dict(dataset=dict(task='low_light'))
val_dataloader = dict(dataset=dict(task='low_light'))
test_dataloader = dict(dataset=dict(task='low_light'))
