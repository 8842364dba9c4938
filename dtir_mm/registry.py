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

SHOWN = 80  # characters of what a message quotes


class Registry(MMEngineRegistry):
    """An mmengine registry that looks names up among what is registered, and explains a miss.

    mmengine takes a name that is not registered for a module or an object to import, and a scope
    for a package to import: to name code would be to run it. Here no name is ever imported, but for
    the networks of mmagic that ``compat`` lists.
    """

    def get(self, key: str) -> type | None:
        """What is registered as ``key``: "Name" here or in a parent, or "scope.Name"; else None.

        Raises:
            TypeError: ``key`` is no string.
            ImportError: it names mmagic, which is not installed.
        """
        if not isinstance(key, str):
            raise TypeError(f'the name of a class must be a string, got {type(key).__name__}')
        self.import_from_location()
        scope, dot, name = key.rpartition('.')
        if not dot:
            return self._inherited(name)
        if scope == 'mmagic':
            compat.import_mmagic(name)
        registry = self.root._search_child(scope)
        return None if registry is None else _registered(registry, name)

    def build(self, cfg: dict, *args: Any, **kwargs: Any) -> Any:
        """Builds ``cfg['type']``, a name or a class; in a list, each of its parts.

        Raises:
            KeyError: nothing of that name is registered; the message offers the closest names and
                the ``custom_imports`` line that a class of the user's own needs.
        """
        if isinstance(cfg, list):
            cfg = [self._with_class(part) for part in cfg]
        return super().build(self._with_class(cfg), *args, **kwargs)

    def _with_class(self, cfg: Any) -> Any:
        """A config with the class in the place of its name and ``_scope_``, if it has them.

        With a class mmengine has nothing to look up.
        """
        if not isinstance(cfg, dict):
            return cfg
        cfg = cfg.copy()
        scope = cfg.pop('_scope_', None)
        name = cfg.get('type')
        if isinstance(name, str):
            if scope and '.' not in name:
                name = f'{scope}.{name}'
            found = self.get(name)
            if found is None:
                raise KeyError(self.explain_miss(name))
            cfg['type'] = found
        return cfg

    def _inherited(self, name: str) -> type | None:
        registry: MMEngineRegistry | None = self
        while registry is not None:
            if name in registry.module_dict:
                return registry.module_dict[name]
            registry = registry.parent
        return None

    def explain_miss(self, name: str) -> str:
        """That nothing is registered as ``name``, with the closest names and what to add."""
        name = cut_short(name)
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


def cut_short(text: str) -> str:
    """A text for a message, which may come out of any file."""
    return text if len(text) <= SHOWN else f'{text[:SHOWN]} ...'


def _registered(registry: MMEngineRegistry, name: str) -> type | None:
    """What a registry itself holds under a name without a scope."""
    if isinstance(registry, Registry):
        return registry.get(name)
    registry.import_from_location()
    return registry.module_dict.get(name)


def scopes() -> set[str]:
    """The scopes that a name may have, as in "scope.Name"."""
    found: set[str] = set()
    registries = [known.root for known in globals().values() if isinstance(known, Registry)]
    while registries:
        registry = registries.pop()
        found.add(registry.scope)
        registries += registry.children.values()
    return found


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
# A root of its own: mmengine has no registry of criteria.
CRITERIA = Registry('criterion', scope='dtir_mm', locations=['dtir_mm.matching.criteria'])

# Nothing of ours lies in these; without a child mmengine warns at each look-up.
OPTIMIZERS = _child('OPTIMIZERS')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS')
EVALUATOR = _child('EVALUATOR')
LOG_PROCESSORS = _child('LOG_PROCESSORS')
VISBACKENDS = _child('VISBACKENDS')
FUNCTIONS = _child('FUNCTIONS')
