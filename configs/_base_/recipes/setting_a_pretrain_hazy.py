"""Setting A, stage 1: noise prediction on the clean training images of RESIDE-6k alone."""

_base_ = './setting_a_pretrain.py'
train_dataloader = dict(dataset=dict(folder='data/RESIDE-6k/train/GT'))
val_dataloader = dict(dataset=dict(folder='data/RESIDE-6k/test/GT'))
