"""Recipe `paper` with the changes that short runs need (measurements: docs/method.md).

- FFT loss: with L1 only, training on rain stays at the saddle where the network returns its input.
- Gradient of L_g capped per tensor at 0.1 of the content gradient: under Adam, a larger one shrinks
  the restoration steps. Uncapped or at 0.5, the gain of pre-training on rain was lost.
- lambda 0.02: the penalty's gradient has constant magnitude, and at 0.2 the weights do not move.
"""

_base_ = '../paper/finetune.py'
model = dict(
    step=dict(
        objective=dict(losses=dict(fft=dict(type='FFTLoss', weight=0.1))),
        mixing=dict(cap=0.1),
        regularizers=dict(importance=dict(weight=0.02)),
    )
)
