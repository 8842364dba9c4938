"""Classical methods of OpenCV and scikit-image, and the settings to try for each degradation.

``CANDIDATES`` maps a task to its methods. A method takes an RGB uint8 image (H, W, 3) and its
settings, and returns another image of that shape.
"""

from classical_methods.candidate import Candidate
from classical_methods.dark_channel import dark_channel_prior
from classical_methods.deblurring import richardson_lucy, unsharp_mask, wiener
from classical_methods.denoising import (
    bilateral,
    median,
    non_local_means,
    selective_median,
    total_variation,
    wavelet,
)
from classical_methods.inpainting import inpaint, inpaint_biharmonic
from classical_methods.tone import clahe, gamma, gamma_to_mean, homomorphic, stretch

_MEDIAN = Candidate('median', median, {'size': (3, 5)})
_DENOISING = (
    Candidate('non-local means', non_local_means, {
        'sigma': (None, 5), 'factor': (0.35, 0.5, 0.75, 1.0),
    }),
    Candidate('bilateral', bilateral, {
        'sigma': (None, 20), 'factor': (1.0, 2.0, 4.0, 6.0), 'radius': (1.0, 2.0, 3.0, 4.0),
    }),
    Candidate('TV', total_variation, {'sigma': (None, 5), 'factor': (0.5, 0.75, 1.0)}),
    Candidate('wavelet', wavelet, {'sigma': (None, 5, 10), 'factor': (0.5, 0.75, 1.0, 1.5)}),
    _MEDIAN,
)  # fmt: skip
_BRIGHT_SPOTS = (
    Candidate('bilateral', bilateral, {
        'sigma': (None, 20), 'factor': (1.0, 2.0), 'radius': (1.0, 2.0),
    }),
    Candidate('TV', total_variation, {'sigma': (5,), 'factor': (0.25, 0.5)}),
    _MEDIAN,
    Candidate('selective median', selective_median, {
        'size': ((5, 1), (9, 1), (5, 5), (7, 7)), 'threshold': (10, 20, 40, 80),
    }),
)  # fmt: skip
_TONE = (
    Candidate('gamma', gamma, {
        'exponent': (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 1.2, 1.5, 1.8, 2.1),
    }),
    Candidate('gamma to a mean', gamma_to_mean, {'mean': (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)}),
    Candidate('CLAHE', clahe, {'clip': (0.5, 1.0, 2.0, 4.0, 8.0, 16.0), 'tiles': (1, 2, 4, 8)}),
    Candidate('contrast stretching', stretch, {
        'percent': (0.0, 0.1, 0.5, 1.0, 2.0, 4.0), 'each_channel': (False, True),
    }),
    Candidate('homomorphic filter', homomorphic, {
        'radius': (0.03, 0.12, 0.25), 'strength': (0.1, 0.2, 0.4),
    }),
)  # fmt: skip

CANDIDATES: dict[str, tuple[Candidate, ...]] = {
    'noisy': _DENOISING,
    'jpeg': _DENOISING,
    'rainy': _BRIGHT_SPOTS,
    'snowy': _BRIGHT_SPOTS,
    'raindrop': _BRIGHT_SPOTS,
    'inpainting': (
        Candidate('inpainting', inpaint, {
            'method': ('telea', 'ns'), 'radius': (2, 3, 5), 'grow': (0, 1),
        }),
        Candidate('biharmonic inpainting', inpaint_biharmonic, {'grow': (0, 1)}),
        _MEDIAN,
    ),
    'shadowed': _TONE,
    'low_light': _TONE,
    'hazy': (
        Candidate('dark channel prior', dark_channel_prior, {
            'patch': (5, 7, 15), 'omega': (0.7, 0.8, 0.9), 'least': (0.1, 0.3, 0.5, 0.6),
        }),
        *_TONE,
    ),
    'blurry': (
        Candidate('unsharp masking', unsharp_mask, {
            'sigma': (0.8, 1.1, 1.5, 2.0), 'amount': (0.5, 1.0, 2.0, 3.0, 4.0),
        }),
        Candidate('Wiener', wiener, {
            'sigma': (1.1, 1.2, 1.3, 1.4, 1.5), 'balance': (3e-5, 1e-4, 3e-4, 1e-3, 3e-3),
        }),
        Candidate('Richardson-Lucy', richardson_lucy, {'sigma': (1.3,), 'iterations': (10, 20)}),
    ),
}  # fmt: skip
