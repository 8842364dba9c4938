"""As in the preprint: without the FFT term, only L1."""

_base_ = '../released_nafnet-w48_finetune_rainy_b16-500k.py'
model = dict(step=dict(objective=dict(losses=dict(fft=None))))
