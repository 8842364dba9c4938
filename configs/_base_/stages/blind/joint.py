"""Ten degradations, two at once, or none, in one network, which is told the degradation or not.

It is told by t (Table 4), and by t = 1 ("blind") that it is not: in three of ten samples. Whether
an image is dark or was taken in too little light cannot be decided from a patch, so the blind step
is the cautious one, for images that the classifier is not sure about.
"""

model = dict(
    type='Restorer',
    timesteps=dict(
        blind=1, noisy=4, rainy=8, jpeg=12, snowy=15, inpainting=19, raindrop=22, shadowed=27,
        low_light=38, hazy=47, blurry=50,
    ),
    schedule=dict(type='VariancePreserving'),
    head=dict(type='ResidualHead'),
    tile_overlap=192,  # see dtir_mm/apis/tile_note.py
    step=dict(
        objective=dict(
            type='Reconstruction',
            losses=dict(pixel=dict(type='L1Loss'), fft=dict(type='FFTLoss', weight=0.1)),
        ),
    ),
)  # fmt: skip
default_hooks = dict(
    checkpoint=dict(type='RestorationCheckpointHook', interval=250, max_keep=2),
    ema=dict(type='WeightEMAHook', decay=0.998),
    logger=dict(type='LoggerHook', interval=50),
    sampler_seed=None,  # IterationSampler needs no reseeding
)
val_evaluator = [dict(type='RestorationMetric', protocol='rgb_no_lpips')]
test_evaluator = dict(type='RestorationMetric', protocol='rgb')
test_cfg = dict(type='TestLoop')
