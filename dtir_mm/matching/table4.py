"""Table 4 of the paper: the matching time steps of ten degradations."""

# For T = 50, the paper's network and data, and an image range that the paper does not state.
PAPER_NUM_STEPS = 50
PAPER_TIMESTEPS: dict[str, int] = {
    'noisy': 4,
    'rainy': 8,
    'jpeg': 12,
    'snowy': 15,
    'inpainting': 19,
    'raindrop': 22,
    'shadowed': 27,
    'low_light': 38,
    'hazy': 47,
    'blurry': 50,
}
