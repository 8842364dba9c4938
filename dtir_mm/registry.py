"""The registries of dtir_mm, children of mmengine's root registries.

A class is found by its plain name inside dtir_mm, and as ``dtir_mm.Name`` from other scopes.
Networks of mmagic and spandrel need their scope (``mmagic.NAFNet``, ``spandrel.SwinIR``) and are
imported on first use.
"""

from typing import Any

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry as MMEngineRegistry

from dtir_mm import compat
from dtir_mm.typos import most_similar

SHOWN = 80  # maximum number of characters that a message quotes


class Registry(MMEngineRegistry):
    """An mmengine registry that never imports a name, and suggests names for an unknown one.

    mmengine tries to import unregistered names as modules and unknown scopes as packages, so that
    a config could run any code. Only the networks of mmagic that ``compat`` lists are imported.
    """

    def get(self, key: str) -> type | None:
        """The class registered as ``key``, "Name" (here or in a parent) or "scope.Name"; or None.

        Raises:
            TypeError: ``key`` is not a string.
            ImportError: it names mmagic, which is not installed.
        """
        if not isinstance(key, str):
            raise TypeError(f'the name of a class must be a string, got {type(key).__name__}')
        self.import_from_location()
        scope, dot, name = key.rpartition('.')
        if not dot:
            inherited = self.parent.module_dict if self.parent else {}
            return self.module_dict.get(name, inherited.get(name))
        if scope == 'mmagic':
            compat.import_mmagic(name)
        registry = self.root._search_child(scope)
        return None if registry is None else _registered(registry, name)

    def build(self, cfg: dict, *args: Any, **kwargs: Any) -> Any:
        """Builds ``cfg['type']``, a name or a class; in a list, each of its parts.

        Raises:
            KeyError: the name is not registered; the message has the closest names, and the
                ``custom_imports`` line for the user's own classes.
        """
        if isinstance(cfg, list):
            cfg = [self._with_class(part) for part in cfg]
        return super().build(self._with_class(cfg), *args, **kwargs)

    def _with_class(self, cfg: Any) -> Any:
        """The config with its class instead of name and ``_scope_``, which mmengine looks up."""
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

    def explain_miss(self, name: str) -> str:
        """The message that ``name`` is not registered, with the closest names and how to add it."""
        name = cut_short(name)
        known = sorted(set(self.module_dict) | set(self.parent.module_dict if self.parent else ()))
        if self.name == mmengine_registry.MODELS.name:
            known += [f'mmagic.{network}' for network in compat.MMAGIC_MODULES]
        scope = name.partition('.')[0]
        if scope in self.root.children:
            known += [f'{scope}.{other}' for other in self.root.children[scope].module_dict]
        close = most_similar(name, known)
        hint = f' Closest: {", ".join(close)}.' if close else ''
        return (
            f'type={name!r} is not registered in the {self.name} registry.{hint} For a class of '
            f'your own, add to the config: custom_imports = dict(imports=["the.module.that.'
            f'registers_it"], allow_failed_imports=False)'
        )


def cut_short(text: str) -> str:
    """Shortens a text from any file for a message."""
    return text if len(text) <= SHOWN else f'{text[:SHOWN]} ...'


def _registered(registry: MMEngineRegistry, name: str) -> type | None:
    """The class that a registry itself has under a name without a scope."""
    if isinstance(registry, Registry):
        return registry.get(name)
    registry.import_from_location()
    return registry.module_dict.get(name)


def scopes() -> set[str]:
    """The known scopes of names, as in "scope.Name"."""
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

# Without classes of ours; without a child registry, mmengine warns at each look-up.
OPTIMIZERS = _child('OPTIMIZERS')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS')
EVALUATOR = _child('EVALUATOR')
LOG_PROCESSORS = _child('LOG_PROCESSORS')
VISBACKENDS = _child('VISBACKENDS')
FUNCTIONS = _child('FUNCTIONS')
