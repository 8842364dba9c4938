"""Stage 2 of recipe `paper_practical`: 1000 updates on low light, from the pre-trained weights."""

_base_ = './quick_dtir-unet-w16_finetune_noisy_1xb8-1000.py'
train_dataloader = dict(dataset=dict(task='low_light'))
val_dataloader = dict(dataset=dict(task='low_light'))
test_dataloader = dict(dataset=dict(task='low_light'))
