"""Setting A, stage 1: noise prediction on the clean training images of Snow100K alone."""

_base_ = './setting_a_pretrain.py'
train_dataloader = dict(dataset=dict(folder='data/Snow100K/train/GT'))
val_dataloader = dict(dataset=dict(folder='data/Snow100K/test/GT'))
