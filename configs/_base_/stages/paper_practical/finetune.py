"""Recipe `paper` with what it needs to train in short runs (docs/method.md has the measurements).

- FFT term: L1 alone has a saddle where the network gives its input back, and stays there on rain.
- L_g capped at a tenth of the content's gradient in each tensor: under Adam a larger one shrinks
  the steps of restoration. On rain, uncapped and at half, it lost all that pre-training had gained.
- lambda a tenth: the penalty's gradient is constant in size, and at 0.2 stops all movement.
"""

_base_ = '../paper/finetune.py'
model = dict(
    step=dict(
        objective=dict(losses=dict(fft=dict(type='FFTLoss', weight=0.1))),
        mixing=dict(cap=0.1),
        regularizers=dict(importance=dict(weight=0.02)),
    )
)
