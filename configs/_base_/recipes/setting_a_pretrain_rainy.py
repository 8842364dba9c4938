"""Setting A, stage 1: noise prediction on the clean training images of Rain100L alone."""

_base_ = './setting_a_pretrain.py'
train_dataloader = dict(dataset=dict(folder='data/Rain100L/train/GT'))
val_dataloader = dict(dataset=dict(folder='data/Rain100L/test/GT'))
