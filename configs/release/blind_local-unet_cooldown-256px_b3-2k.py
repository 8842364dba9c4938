"""The last updates, once more and longer, from the stage before or half-way to it (README.md)."""

_base_ = './blind_local-unet_cooldown-256px_b3-900.py'
train_dataloader = dict(dataset=dict(draws=10, pair_seed=400))
train_cfg = dict(max_iters=2000, val_interval=2000)
load_from = 'work_dirs/blind_local-unet_cooldown-256px_b3-900'
