"""Still more context: of a patch of 160 px, a raindrop or the edge of a shadow is often outside."""

_base_ = './blind_local-unet_classify-160px_b8-8k.py'
global_batch_size = 4
_pipeline = _base_.train_dataloader.dataset.pipeline
_pipeline[0].size = 288
train_dataloader = dict(
    dataset=dict(crop=384, min_scale=0.4, pair_seed=2, draws=2, cache=False, pipeline=_pipeline)
)
optim_wrapper = dict(optimizer=dict(lr=3e-4))
train_cfg = dict(max_iters=2500, val_interval=2500)
load_from = 'work_dirs/blind_local-unet_classify-160px_b8-8k'
