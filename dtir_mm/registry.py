"""The registries of dtir_mm: children of mmengine's roots; the one place that chooses among them.

``dtir_mm.X`` is found by its plain name inside dtir_mm and under its full name from the user's own
scope; a network of mmagic or spandrel is named in full (``mmagic.NAFNet``, ``spandrel.SwinIR``) and
imported on its first use.
"""

import difflib
from typing import Any

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry as MMEngineRegistry

from dtir_mm import compat


class Registry(MMEngineRegistry):
    """An mmengine registry that imports mmagic's modules on demand and explains a miss.

    mmengine takes a name that is not registered for a path to import: ``type='os.system'`` in a
    checkpoint's config would run a command. Here only what is registered can be built.
    """

    def get(self, key: str) -> type | None:
        """The class registered as ``key``; ``mmagic.<name>`` imports the module that holds it."""
        if not isinstance(key, str):
            return super().get(key)
        if key.count('.') > 1:  # more than a scope and a name
            return None
        if key.startswith('mmagic.'):
            compat.import_mmagic(key.removeprefix('mmagic.'))
        found = super().get(key)
        return found if _holds(self.root, found) else None

    def build(self, cfg: dict, *args: Any, **kwargs: Any) -> Any:
        """Builds ``cfg['type']``.

        Raises:
            KeyError: nothing of that name is registered; the message offers the closest names and
                the ``custom_imports`` line that a class of the user's own needs.
        """
        name = cfg.get('type') if isinstance(cfg, dict) else None
        if isinstance(name, str) and self.get(name) is None:
            raise KeyError(self.explain_miss(name))
        return super().build(cfg, *args, **kwargs)

    def explain_miss(self, name: str) -> str:
        """That nothing is registered as ``name``, with the closest names and what to add."""
        known = sorted(set(self.module_dict) | set(self.parent.module_dict if self.parent else ()))
        if self.name == mmengine_registry.MODELS.name:
            known += [f'mmagic.{network}' for network in compat.MMAGIC_MODULES]
        scope = name.partition('.')[0]
        if scope in self.root.children:
            known += [f'{scope}.{other}' for other in self.root.children[scope].module_dict]
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f' Closest: {", ".join(close)}.' if close else ''
        return (
            f'type={name!r} is not registered in the {self.name} registry.{hint} For a class of '
            f'your own, add to the config: custom_imports = dict(imports=["the.module.that.'
            f'registers_it"], allow_failed_imports=False)'
        )


def _holds(registry: MMEngineRegistry, found: object) -> bool:
    """Whether an object is registered in a registry or below it."""
    return any(found is known for known in registry.module_dict.values()) or any(
        _holds(child, found) for child in registry.children.values()
    )


def _child(name: str, *locations: str) -> Registry:
    parent = getattr(mmengine_registry, name)
    return Registry(parent.name, parent=parent, scope='dtir_mm', locations=list(locations))


MODELS = _child('MODELS', 'dtir_mm.models')
DATASETS = _child('DATASETS', 'dtir_mm.datasets')
TRANSFORMS = _child('TRANSFORMS', 'dtir_mm.datasets')
METRICS = _child('METRICS', 'dtir_mm.evaluation')
RUNNERS = _child('RUNNERS', 'dtir_mm.engine')
LOOPS = _child('LOOPS', 'dtir_mm.engine')
HOOKS = _child('HOOKS', 'dtir_mm.engine')
DATA_SAMPLERS = _child('DATA_SAMPLERS', 'dtir_mm.engine')
MODEL_WRAPPERS = _child('MODEL_WRAPPERS', 'dtir_mm.engine')
VISUALIZERS = _child('VISUALIZERS', 'dtir_mm.engine')

# Nothing of ours lies in these; without a child mmengine warns at each look-up.
OPTIMIZERS = _child('OPTIMIZERS')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS')
EVALUATOR = _child('EVALUATOR')
LOG_PROCESSORS = _child('LOG_PROCESSORS')
VISBACKENDS = _child('VISBACKENDS')
FUNCTIONS = _child('FUNCTIONS')
