"""Every leaf has the recorded number of parameters, counted on the meta device.

The parts of a leaf follow from its name: a network with time conditioning, adapters for several
tasks, a classifier if it is trained. PUBLISHED are the numbers of the networks' authors and of
Table 5 of the paper, in millions.
"""

import json
from functools import cache
from pathlib import Path

import pytest
from leaves import EXAMPLES, LEAVES, NAME, load

from dtir_mm.analysis.recipe import count_parameters

RECORDED = json.loads((Path(__file__).parent / 'parameter_counts.json').read_text())
NAMED = [path for path in LEAVES if EXAMPLES not in path.parents]
PUBLISHED = {'dtir-unet': 27.8, 'nafnet-w48': 68.3, 'nafnet-w64': 67.9, 'xrestormer': 26.0}
ADAPTERS = 1.8  # Table 5: "+ 1.8M"


@cache
def counted(model: str) -> dict[str, int]:
    """Parameters of the parts of a model, given its config as JSON."""
    return count_parameters(json.loads(model))


def parts_of(path: Path) -> dict[str, int]:
    model = load(path).model.to_dict()
    built = {key: model[key] for key in ('backbone', 'classifier') if model.get(key)}
    return counted(json.dumps(built, sort_keys=True))


def expected(path: Path) -> dict[str, int]:
    """The recorded parameters for a leaf of this name."""
    name = NAME.fullmatch(path.stem)
    recorded = RECORDED[name['backbone']]
    kept = ['network', 'time conditioning']
    stage = name['stage'] or name['kind']
    several_tasks = stage in ('unified', 'joint', 'classify')
    adapters = several_tasks and name['part'] not in ('wo-moe', 'wo-gef')
    experts = name['part'] if (name['part'] or '').startswith('experts') else 'experts-10'
    if name['kind'] == 'released':
        experts = 'released'
    return {
        **{part: recorded[part] for part in kept},
        'restoration head': 0,
        'adapters': recorded['adapters'][experts] if adapters else 0,
        'classifier': recorded.get('classifier', RECORDED['classifier'])
        if stage == 'classify'
        else 0,
    }


@pytest.mark.parametrize('path', NAMED, ids=lambda path: path.stem)
def test_a_leaf_has_the_recorded_parameters(path):
    assert parts_of(path) == expected(path)


@pytest.mark.parametrize('backbone', PUBLISHED)
def test_recorded_parameters_match_published_ones(backbone):
    recorded = RECORDED[backbone]
    network = recorded['network']
    if backbone in ('dtir-unet', 'nafnet-w48'):  # published with conditioning
        network += recorded['time conditioning']
    assert round(network / 1e6, 1) == PUBLISHED[backbone]
    counts = {name: c for name, c in recorded['adapters'].items() if name != 'released'}
    assert all(round(count / 1e6, 1) == ADAPTERS for count in counts.values())


def test_recorded_parameters_match_the_released_code():
    recorded = RECORDED['nafnet-w48']
    assert recorded['network'] + recorded['time conditioning'] == 68_284_275
    assert recorded['adapters']['released'] == 6_474_124
