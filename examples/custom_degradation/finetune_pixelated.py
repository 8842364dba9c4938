"""Fine-tunes the quickstart's network on pixelated photographs."""

_base_ = '../../configs/mini/quick_dtir-unet-w16_finetune_noisy_b8-1000.py'
custom_imports = dict(imports=['pixelate'], allow_failed_imports=False)
model = dict(timesteps=dict(_delete_=True, pixelated=12))
train_dataloader = dict(dataset=dict(task='pixelated'))
val_dataloader = dict(dataset=dict(task='pixelated'))
test_dataloader = dict(dataset=dict(task='pixelated'))
