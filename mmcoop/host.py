"""What mmengine and mmpretrain are told of this package.

- mmengine: ``_base_ = 'mmcoop::coop/coop_demo.py'``. Its table of packages
  whose configs may be inherited has no way in but an entry.
- mmpretrain: ``list_models('coop')`` and ``get_model('coop-m16-end')``, by
  ``ModelHub``.

Both take seconds to import, so each is told when it is imported.
"""
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Optional

from .methods import Method, all_methods, configs_folder


def register_package(utils: ModuleType) -> None:
    """Let mmengine find ``mmcoop::...``.

    Args:
        utils: ``mmengine.config.utils``.
    """
    # mmengine 0.10.7 takes the folder of the *distribution*, which is not the
    # package's if it is installed editable; of a module it takes the file's
    utils.MODULE2PACKAGE['mmcoop'] = __name__


def register_models(apis: ModuleType) -> None:
    """Let ``mmpretrain.list_models`` and ``get_model`` find our methods.

    Args:
        apis: ``mmpretrain.apis.model``.
    """
    folder = configs_folder()
    hub, methods = apis.ModelHub, {m.name: m for m in all_methods()}
    hub.register_model_index(folder.parent / 'model-index.yml', folder.parent)
    for name in methods.keys() & hub._models_dict.keys():
        entry = hub._models_dict[name]
        entry.config = MethodConfig(entry.config, methods[name])


class MethodConfig(str):
    """The path of a method's config; a copy of it is the config itself.

    ``ModelHub.get`` copies an entry and reads the file; this applies the
    method's options as well, and fills in the variables.
    """

    def __new__(cls, path: str, method: Method) -> 'MethodConfig':
        self = super().__new__(cls, path)
        self.method = method
        return self

    def __deepcopy__(self, memo: dict) -> Any:
        from mmengine.config import Config

        from .config import resolve
        cfg = Config.fromfile(str(self))
        cfg.merge_from_dict(self.method.options)
        return resolve(cfg)


class _WhenImported(MetaPathFinder):
    """Calls a function with a module, once it is imported."""

    def __init__(self, name: str,
                 then: Callable[[ModuleType], None]) -> None:
        self.name, self.then = name, then

    def find_spec(self, name: str, path: Any = None,
                  target: Any = None) -> Optional[ModuleSpec]:
        if name != self.name:
            return None
        others = (finder.find_spec(name, path, target)
                  for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, others), None)
        if spec is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                self.then(module)
            spec.loader.exec_module = exec_module
        return spec


def register() -> None:
    """Tell the hosts now, or as soon as they are imported."""
    for name, then in (('mmengine.config.utils', register_package),
                       ('mmpretrain.apis.model', register_models)):
        if name in sys.modules:
            then(sys.modules[name])
        else:
            sys.meta_path.insert(0, _WhenImported(name, then))
