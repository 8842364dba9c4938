"""A run that Weights & Biases records offline, read back from its files."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from toy_training import build_runner

from dtir_mm.apis import load_restorer
from dtir_mm.registry import DATASETS

wandb = pytest.importorskip('wandb', reason='wandb is not installed (pip install wandb)')

BLOCK = 2**15
# As in docs/watching.md
RUN = """
visualizer = dict(
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(
            type='WandbVisBackend', init_kwargs=dict(project='rain'),
            define_metric_cfg=[dict(name='*', step_metric='iter')],
        ),
    ],
)
train_dataloader.update(num_workers=0)
val_dataloader.update(num_workers=0)
train_cfg.update(max_iters=4, val_interval=2)
default_hooks.update(checkpoint=dict(interval=2), logger=dict(interval=1))
"""


def chunks(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind (1 whole, 2 first, 3 middle, 4 last) and data of each chunk, as in LevelDB's logs."""
    at = 7  # after the file's header
    while at < len(content):
        room = BLOCK - at % BLOCK
        if room < 7:
            at += room
            continue
        _, size, kind = struct.unpack('<IHB', content[at : at + 7])
        yield kind, content[at + 7 : at + 7 + size]
        at += 7 + size


def records_of(folder: Path) -> list:
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.rglob('run-*.wandb')
    records, data = [], b''
    for kind, chunk in chunks(file.read_bytes()):
        data += chunk
        if kind in (1, 4):
            records.append(Record.FromString(data))
            data = b''
    return records


def history(records: list) -> list[dict]:
    return [
        {'/'.join(item.nested_key) or item.key: json.loads(item.value_json)
         for item in record.history.item}
        for record in records
        if record.HasField('history')
    ]  # fmt: skip


def test_scalars_images_and_the_config_but_no_code_are_recorded(toy_config, tmp_path, monkeypatch):
    monkeypatch.setenv('WANDB_MODE', 'offline')
    monkeypatch.setenv('WANDB_SILENT', 'true')
    monkeypatch.chdir(tmp_path)
    path = toy_config('finetune', RUN)
    runner = build_runner(path, tmp_path / 'run')
    runner.train()
    wandb.teardown()  # its process has written the file then

    records = records_of(tmp_path / 'run')
    rows = history(records)
    (file,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for name in ('content', 'rainy/source/psnr'):
        assert [(row['iter'], row[name]) for row in rows if name in row] == [
            (line['step'], pytest.approx(line[name])) for line in lines if name in line
        ]
    shown = [(r['iter'], r['rainy_source/path']) for r in rows if 'rainy_source/path' in r]
    assert [iteration for iteration, _ in shown] == [2, 4]
    (media,) = (tmp_path / 'run').rglob('files')
    image = cv2.imread(str(media / shown[1][1]))[..., ::-1]
    sample = DATASETS.build(runner.cfg.val_dataloader.dataset)[0]
    restored = load_restorer(tmp_path / 'run' / 'iter_4.pth')
    assert image.shape == (64, 3 * 48 + 8, 3)
    np.testing.assert_array_equal(image[:, :48], sample['degraded'].permute(1, 2, 0).numpy())
    degraded = restored.from_uint8(sample['degraded'][None])
    steps = restored.timesteps_of({'task': ['rainy'], 'degraded': degraded})
    expected = (restored.restore_images(degraded, steps)[0] * 255).round().permute(1, 2, 0)
    np.testing.assert_array_equal(image[:, 52:100], expected.numpy())

    keys = {item.key for r in records if r.HasField('config') for item in r.config.update}
    assert 'train_cfg' in keys
    assert not any(record.HasField('artifact') for record in records)
