"""Optimiser wrapper constructor that skips the frozen CLIP."""
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper

from ..clip.frozen import FrozenModule
from ..registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LearnedOnlyConstructor(DefaultOptimWrapperConstructor):
    """Default constructor that skips :class:`FrozenModule`.

    mmengine's passes frozen parameters to the optimiser without
    ``paramwise_cfg``, and warns of each with it.

    Raises:
        ValueError: The model has no parameters to learn.
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
