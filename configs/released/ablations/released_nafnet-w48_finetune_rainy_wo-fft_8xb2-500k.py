"""As the preprint has it: without the FFT term, L1 alone."""

_base_ = '../released_nafnet-w48_finetune_rainy_8xb2-500k.py'
model = dict(step=dict(objective=dict(losses=dict(fft=None))))
