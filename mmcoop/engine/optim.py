"""Keep the frozen CLIP out of the optimiser, quietly."""
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper

from ..clip.frozen import FrozenModule
from ..registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LearnedOnlyConstructor(DefaultOptimWrapperConstructor):
    """The default constructor, blind to frozen towers.

    Without ``paramwise_cfg`` the default one takes every frozen parameter;
    with it, it warns of each.
    """

    def __call__(self, model) -> OptimWrapper:
        # any entry makes the default constructor walk through add_params
        self.paramwise_cfg = self.paramwise_cfg or dict(custom_keys={})
        if not any(p.requires_grad for p in model.parameters()):
            raise ValueError('there is nothing to learn: hand-written prompts '
                             '(templates) are tested by tools/test.py.')
        return super().__call__(model)

    def add_params(self, params: list, module, **kwargs) -> None:
        if not isinstance(module, FrozenModule):
            super().add_params(params, module, **kwargs)
