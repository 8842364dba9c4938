"""Fine-tunes the quickstart's network on the pairs in my_pairs."""

_base_ = '../../configs/mini/quick_dtir-unet-w16_finetune_noisy_b8-1000.py'
_pairs = dict(
    _delete_=True, type='PairedFolderDataset', task='foggy', pipeline=[dict(type='PackSample')]
)
train_dataloader = dict(
    dataset=dict(
        _pairs,
        degraded='my_pairs/train/foggy',
        clean='my_pairs/train/clear',
        pipeline=[
            dict(type='RandomPatch', size=64),
            dict(type='RandomFlipTurn'),
            dict(type='PackSample'),
        ],
    ),
)
val_dataloader = dict(
    dataset=dict(_pairs, degraded='my_pairs/val/foggy', clean='my_pairs/val/clear')
)
test_dataloader = dict(
    dataset=dict(_pairs, degraded='my_pairs/test/foggy', clean='my_pairs/test/clear')
)
model = dict(timesteps='my_pairs/timesteps.json')
