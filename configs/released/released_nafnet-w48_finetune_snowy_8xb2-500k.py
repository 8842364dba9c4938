"""Setting A, stage 2: the authors' NAFNet fine-tuned on Snow100K, generalization to RealSnow."""

_base_ = [
    '../_base_/backbones/nafnet_w48.py',
    '../_base_/stages/released/finetune.py',
    '../_base_/datasets/setting_a_snowy.py',
    '../_base_/schedules/released_500k.py',
]
model = dict(backbone=_base_.backbone, timesteps='paper')
load_from = 'work_dirs/released_nafnet-w48_pretrain_snowy_8xb2-100k'
