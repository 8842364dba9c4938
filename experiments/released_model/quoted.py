"""Results quoted from the paper: Table 2 of the preprint (arXiv 2506.21722), Setting B.

PSNR in dB, SSIM and LPIPS of *noisy* (sigma 50, CBSD68) and *JPEG* (quality 10, LIVE1).
"""

from cases import CBSD68, LIVE1

TABLE_2 = {
    'Restormer': {CBSD68: (27.25, 0.762, 0.215), LIVE1: (26.90, 0.781, 0.300)},
    'NAFNet': {CBSD68: (27.16, 0.768, 0.216), LIVE1: (26.81, 0.780, 0.303)},
    'PromptIR': {CBSD68: (27.56, 0.774, 0.230), LIVE1: (26.95, 0.784, 0.269)},
    'DA-CLIP': {CBSD68: (24.36, 0.579, 0.272), LIVE1: (23.70, 0.532, 0.317)},
    'RAM': {CBSD68: (27.54, 0.771, 0.269), LIVE1: (27.42, 0.765, 0.298)},
    'Ours': {CBSD68: (27.53, 0.787, 0.252), LIVE1: (27.01, 0.796, 0.262)},
    'Ours + NAFNet': {CBSD68: (28.17, 0.774, 0.259), LIVE1: (27.27, 0.804, 0.292)},
    'Ours + X-Restormer': {CBSD68: (28.24, 0.798, 0.277), LIVE1: (27.11, 0.802, 0.258)},
}
"""By the paper's name of the method, then by data set."""
