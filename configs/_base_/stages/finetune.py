"""Stage 2, GEF: reconstruction at t_mat, with 10 % generative samples mixed in (Fig. 4)."""

model = dict(type='FinetuneRestorer', mix_ratio=0.1)
val_evaluator = dict(type='RestorationMetric', protocol='rgb_no_lpips')
test_evaluator = dict(type='RestorationMetric', protocol='rgb')
test_cfg = dict(type='TestLoop')
