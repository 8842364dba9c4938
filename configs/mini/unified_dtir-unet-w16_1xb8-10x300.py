"""Ten tasks on a CPU: 300 updates each, from the weights of the quickstart's pre-training."""

_base_ = [
    '../_base_/backbones/dtir_unet_w16.py',
    '../_base_/stages/paper_practical/unify.py',
    '../_base_/datasets/photos_unified.py',
    '../_base_/schedules/adam_cosine_mini_10x300.py',
]
model = dict(backbone=dict(**_base_.backbone, adapters=dict(param_budget=60_000)))
load_from = 'work_dirs/quickstart/pretrain'
