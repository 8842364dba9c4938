"""Setting A, stage 1: noise prediction on the clean training images of Snow100K alone."""

_base_ = './dtir-unet_pretrain_hazy_8xb2-500k.py'
train_dataloader = dict(dataset=dict(folder='data/Snow100K/train/GT'))
val_dataloader = dict(dataset=dict(folder='data/Snow100K/test/GT'))
