"""Compiled networks have the same losses and gradients; second derivatives are not compiled."""

import copy

import pytest
import torch
from torch import nn
from toy_training import FAST, train

from dtir_mm.engine.compiler import require_cpp_compiler
from dtir_mm.registry import MODELS

# Like the default backend, without its C++ code.
BACKEND = 'aot_eager'
ADAPTERS = dict(num_experts=2, param_budget=5000, prompt_dim=8)


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def build(toy_backbone: dict, step: dict | None = None) -> nn.Module:
    backbone = {**toy_backbone, 'adapters': ADAPTERS}
    restorer = MODELS.build(dict(type='Restorer', backbone=backbone, step=step))
    for parameter in restorer.parameters():
        nn.init.normal_(parameter, std=0.1)
    return restorer.train()


def make_batch(count: int = 8) -> dict:
    rng = torch.Generator().manual_seed(1)
    clean, degraded = 2 * torch.rand(2, count, 3, 16, 16, generator=rng) - 1
    return {
        'clean': clean,
        'degraded': degraded,
        'task': ['rainy', 'hazy'] * (count // 2),
        'path': [f'{slot}.png' for slot in range(count)],
        'key': torch.tensor([[11, 8, slot] for slot in range(count)]),
    }


def test_gradients_with_all_terms_are_the_same(toy_backbone):
    """Both forward passes are compiled; Hessian-vector products are not."""
    step = dict(
        objective=dict(type='Reconstruction'),
        mixing=dict(type='SampleMixing', ratio=0.5, objective=dict(type='NoisePrediction')),
        regularizers=dict(orthogonality=dict(type='GradientOrthogonality', interval=1)),
    )
    restorer = build(toy_backbone, step)
    keys = list(restorer.state_dict())
    expected, logged = restorer.step.gradient(restorer, make_batch())
    seen = []

    def counting(graph: torch.fx.GraphModule, inputs: list) -> object:
        seen.append(len(inputs))
        return torch._dynamo.lookup_backend(BACKEND)(graph, inputs)

    restorer.backbone.compile_network(backend=counting, fullgraph=True)
    gradient, logged_again = restorer.step.gradient(restorer, make_batch())
    assert len(seen) == 2  # with and without adapters, two samples each
    assert (gradient - expected).norm() <= 1e-5 * expected.norm()
    torch.testing.assert_close(logged_again, logged, rtol=1e-4, atol=1e-5)
    assert list(restorer.state_dict()) == keys


def test_validation_is_not_compiled(toy_backbone):
    restorer = build(toy_backbone)
    compiled = []
    restorer.backbone.compile_network(backend=lambda graph, _: compiled.append(1) or graph)
    t = torch.tensor([8])
    for side in (16, 24, 32):
        restorer.eval().restore_images(torch.zeros(1, 3, side, side), t)
    assert compiled == []
    restorer.train().predict_residual(torch.zeros(1, 3, 16, 16), t)
    assert compiled == [1]


def test_a_copy_is_not_compiled(toy_backbone):
    restorer = build(toy_backbone)
    restorer.backbone.compile_network(backend=BACKEND)
    twin = copy.deepcopy(restorer)
    with torch.no_grad():
        restorer.backbone.net.stem.weight.zero_()
        t, image = torch.tensor([8]), torch.rand(1, 3, 16, 16)
        expected = twin.eval().predict_residual(image, t)
        torch.testing.assert_close(twin.train().predict_residual(image, t), expected)


def test_a_compiled_run_has_the_same_weights(toy_config, tmp_path):
    runs = {}
    for name, more in (('plain', ''), ('compiled', f"compile = dict(backend='{BACKEND}')\n")):
        path = toy_config('finetune', FAST + more + 'train_cfg.update(max_iters=2)\n')
        runs[name] = train(path, tmp_path / name)['state_dict']
    (log,) = (tmp_path / 'compiled').glob('*/*.log')
    assert 'compiling the network' in log.read_text()
    torch.testing.assert_close(runs['compiled'], runs['plain'], rtol=0, atol=1e-6)


def test_activation_checkpointing_is_rejected(toy_backbone):
    restorer = build({**toy_backbone, 'checkpoint_activations': True})
    with pytest.raises(ValueError, match='compile and .*checkpoint_activations exclude'):
        restorer.backbone.compile_network()


@pytest.mark.parametrize(
    ('named', 'message'), [(None, r'no g\+\+ or'), ('gxx-9', r'no gxx-9 \(CXX\)')]
)
def test_a_missing_cpp_compiler_is_rejected(monkeypatch, tmp_path, named, message):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CXX', raising=False)
    if named is not None:
        monkeypatch.setenv('CXX', named)
    with pytest.raises(ValueError, match=message):
        require_cpp_compiler()
    compiler = tmp_path / (named or 'g++')
    compiler.write_text('')
    compiler.chmod(0o755)
    require_cpp_compiler()
