"""Images and scalars of real runs, read back from TensorBoard's event files."""

import json
import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_training import build_runner

from dtir_mm.apis import load_restorer
from dtir_mm.engine import ValidationImagesHook
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.engine.hooks import validation_images_hook
from dtir_mm.registry import DATASETS

RUN = """
train_dataloader.update(num_workers=0)
val_dataloader.update(num_workers=0)
log_processor = dict(window_size=1)
default_hooks.update(
    checkpoint=dict(interval=2, max_keep=9), logger=dict(interval=1),
    images=dict(type='ValidationImagesHook', size=40),
)
"""
STEPS = [4, 8, 10]  # val_interval=4, and the end


def events_of(work_dir) -> EventAccumulator:
    """What TensorBoard shows of the only folder of events."""
    (folder,) = {path.parent for path in work_dir.rglob('events.out.tfevents.*')}
    events = EventAccumulator(str(folder), size_guidance={'images': 0, 'scalars': 0})
    return events.Reload()


def panels(png: bytes, width: int) -> list[np.ndarray]:
    """Input, restored image and ground truth, RGB."""
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert image.shape[1] == 3 * width + 8
    assert (image[:, width : width + 4] == 255).all()
    return [image[:, start : start + width] for start in (0, width + 4, 2 * width + 8)]


@pytest.fixture
def run(toy_config, tmp_path):
    """A run of ten updates, in which validation images are up to 40 pixels high and wide."""
    path = toy_config('finetune', RUN)
    runner = build_runner(path, tmp_path / 'run')
    runner.train()
    return SimpleNamespace(path=path, work_dir=tmp_path / 'run', cfg=runner.cfg)


def test_images_are_what_the_checkpoints_give_and_scalars_those_of_the_log(run):
    events = events_of(run.work_dir)
    assert sorted(events.Tags()['images']) == ['rainy_source', 'rainy_target']
    dataset = DATASETS.build(run.cfg.val_dataloader.dataset)
    for number, domain in enumerate(('source', 'target')):
        sample = dataset[2 * number]  # of two photographs under two severities
        assert (sample['domain'], sample['path'][-11:]) == (domain, 'photo_0.png')
        recorded = events.Images(f'rainy_{domain}')
        assert [image.step for image in recorded] == STEPS
        seen = set()
        for image in recorded:
            restorer = load_restorer(run.work_dir / f'iter_{image.step}.pth')
            batch = {k: [v] if isinstance(v, str) else torch.as_tensor(v)[None]
                     for k, v in sample.items()}  # fmt: skip
            (expected,) = restorer.test_step(batch)
            for got, name in zip(
                panels(image.encoded_image_string, 40), ('degraded', 'restored', 'clean'),
                strict=True,
            ):  # fmt: skip
                # 64 x 48 pixels, of which the middle is shown
                np.testing.assert_array_equal(got, expected[name][12:52, 4:44], name)
            seen.add(image.encoded_image_string)
        assert len(seen) == len(STEPS)

    (file,) = run.work_dir.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for name, steps in (('rainy/target/psnr', STEPS), ('content', list(range(1, 11)))):
        logged = {row['step']: row[name] for row in rows if name in row}
        assert list(logged) == steps
        got = {scalar.step: scalar.value for scalar in events.Scalars(name)}
        assert got == pytest.approx(logged, rel=1e-6)
    assert all(row['iter'] == row['step'] for row in rows)
    (log,) = run.work_dir.glob('*/*.log')
    assert f'rainy/target/psnr: {logged_at(rows, 8):.4f}' in log.read_text()


def logged_at(rows: list[dict], step: int) -> float:
    (value,) = (row['rainy/target/psnr'] for row in rows
                if row['step'] == step and 'rainy/target/psnr' in row)  # fmt: skip
    return value


def test_a_resumed_run_continues_the_same_events(run):
    before = events_of(run.work_dir)
    runner = build_runner(run.path, run.work_dir, resume=str(run.work_dir / 'iter_6.pth'))
    runner.train()
    after = events_of(run.work_dir)
    assert len(list(run.work_dir.rglob('events.out.tfevents.*'))) == 2
    for domain in ('source', 'target'):
        images = [events.Images(f'rainy_{domain}') for events in (before, after)]
        assert [image.step for image in images[1]] == STEPS
        assert [image.encoded_image_string for image in images[0]] == [
            image.encoded_image_string for image in images[1]
        ]
    for name in ('rainy/source/psnr', 'content', 'grad_norm'):
        values = [[(s.step, s.value) for s in events.Scalars(name)] for events in (before, after)]
        assert values[0] == values[1]
    walls = [
        image.wall_time for events in (before, after) for image in events.Images('rainy_source')
    ]
    assert walls[0] == walls[3] and walls[1] < walls[4]  # only what follows was recorded again


def samples(path: str, shade: int, **more) -> dict:
    images = {name: np.full((4, 6, 3), shade, np.uint8) for name in ('degraded', 'restored')}
    clean = np.full((4, 6, 3), 200, np.uint8)
    return {'task': 'a/b', 'domain': 'source', 'path': path, 'clean': clean, **images, **more}


def test_of_several_processes_the_first_records_the_first_image_by_path(monkeypatch):
    recorded, said = [], []
    runner = SimpleNamespace(
        iter=7,
        visualizer=SimpleNamespace(add_image=lambda *arguments: recorded.append(arguments)),
        logger=SimpleNamespace(info=said.append),
    )
    hooks = [ValidationImagesHook(size=2) for _ in range(2)]
    for _ in range(2):
        for hook in hooks:
            hook.before_val_epoch(runner)
        hooks[0].after_val_iter(runner, 0, outputs=[samples('c', 3), samples('b', 2)])
        hooks[1].after_val_iter(runner, 0, outputs=[samples('a', 1), {'path': '0'}])
        hooks[1].after_val_iter(runner, 1, outputs=[samples('a', 9)])  # another draw
        gathered = [hook._strips for hook in hooks]
        for hook, result in zip(hooks, (gathered, None), strict=True):
            monkeypatch.setattr(validation_images_hook, 'gather_object', lambda _, r=result: r)
            hook.after_val_epoch(runner)
    assert [(name, step) for name, _, step in recorded] == [('a_b_source', 7)] * 2
    row = [1, 1, *[255] * 4, 1, 1, *[255] * 4, 200, 200]
    for _, image, _ in recorded:
        np.testing.assert_array_equal(image, np.tile(np.array(row)[None, :, None], (2, 1, 3)))
    assert said == ['images for the visualizer: a_b_source: a']


def test_none_removes_the_images_and_a_size_must_be_positive(toy_config, tmp_path):
    path = toy_config('finetune', 'default_hooks.update(images=None)\n')
    runner = build_runner(path, tmp_path / 'run')
    assert not any(isinstance(hook, ValidationImagesHook) for hook in runner.hooks)
    with pytest.raises(ValueError, match='size=0 of ValidationImagesHook must be at least 1'):
        ValidationImagesHook(size=0)


def test_gate_importance_and_routing_are_recorded(toy_run):
    """Against their definitions; the first stage trains one task."""
    (file,) = toy_run.whole.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    reach = [(row['step'], row['gate/reach']) for row in rows if 'gate/reach' in row]
    # w(4) = .82 reaches 6 of 8 blocks; tasks of t = 4, 8 and 30 together also 6
    assert dict(reach) == {0: 6 / 8, 4: 6 / 8, 8: 6 / 8}

    omega = load_checkpoint(toy_run.whole).importance.omega
    last = [row for row in rows if 'importance/stem' in row][-1]
    mixed = torch.cat([value.flatten() for name, value in omega.items()
                       if name.startswith('backbone.net.downs.0.')])  # fmt: skip
    assert last['step'] == 12
    assert last['importance/downs.0'] == pytest.approx(mixed.mean().item(), rel=1e-9)

    (entropy,) = (row['routing_entropy'] for row in rows
                  if row['step'] == 2 and 'routing_entropy' in row)  # fmt: skip
    restorer = load_restorer(toy_run.whole / 'iter_1.pth')
    gates = restorer.backbone.adapters.routing(torch.tensor([4]))[:, 0].tolist()
    expected = [-sum(g * math.log(g) for g in site) for site in gates]
    assert entropy == pytest.approx(sum(expected) / len(expected), rel=1e-5)
