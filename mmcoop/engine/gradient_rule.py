"""Optimiser wrapper that combines the gradients of several losses."""
from contextlib import contextmanager
from typing import Dict, Iterator, List, Optional

import torch
import torch.nn as nn
from mmengine.dist import all_reduce
from mmengine.optim import OptimWrapper


class GradientRuleOptimWrapper(OptimWrapper):
    """Base class of optimiser wrappers that combine gradients of losses.

    Subclasses implement :meth:`combine` (gradient projection as in ProGrad,
    say) and are registered in ``mmcoop.registry.OPTIM_WRAPPERS``. Gradients
    are accumulated (``accumulative_counts``) and averaged over ranks before
    they are combined.

    There is no loss scaling, so ``--amp`` is not available;
    ``model.clip.precision=bf16`` computes the towers in half precision.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._sums: Dict[str, torch.Tensor] = {}

    def combine(self, gradients: Dict[str, torch.Tensor]) -> torch.Tensor:
        """Combine the gradients of all losses into one.

        Args:
            gradients: Gradient (n, ) of each loss (``loss_cls`` and those of
                the head's regularisers) in all n learned numbers.

        Returns:
            The gradient (n, ) for the optimiser step.
        """
        raise NotImplementedError

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        # DDP would average a gradient that is never computed as a whole
        if hasattr(model, 'no_sync'):
            with model.no_sync():
                yield
        else:
            yield

    def update_params(self, loss: torch.Tensor,
                      step_kwargs: Optional[dict] = None,
                      zero_kwargs: Optional[dict] = None) -> None:
        """Differentiate each named loss on its own, combine and step.

        Args:
            loss: Sum of losses, from :meth:`CoOp.parse_losses`.
            step_kwargs: Arguments of ``step``.
            zero_kwargs: Arguments of ``zero_grad``.

        Raises:
            ValueError: The loss has fewer than two named parts.
        """
        named = getattr(loss, 'named_losses', {})
        if len(named) < 2:
            raise ValueError(
                f'{type(self).__name__} combines the gradients of several '
                f'losses, and there is {", ".join(named) or "one"}: add '
                'model.head.regularizers.')
        factor = self.scale_loss(loss.new_ones(()))  # of accumulation
        parameters = self._parameters()
        for i, (name, part) in enumerate(named.items(), start=1):
            gradients = torch.autograd.grad(
                factor * part, parameters, retain_graph=i < len(named),
                allow_unused=True)
            flat = torch.cat([
                torch.zeros_like(p).flatten() if g is None else g.flatten()
                for p, g in zip(parameters, gradients)])
            self._sums[name] = flat + self._sums.get(name, 0)
        self._inner_count += 1
        if self.should_update():
            self._set_gradients(parameters)
            self.step(**(step_kwargs or {}))
            self.zero_grad(**(zero_kwargs or {}))

    def _parameters(self) -> List[nn.Parameter]:
        return [p for group in self.optimizer.param_groups
                for p in group['params'] if p.requires_grad]

    def _set_gradients(self, parameters: List[nn.Parameter]) -> None:
        for flat in self._sums.values():
            all_reduce(flat, 'mean')
        combined = self.combine(self._sums)
        sizes = [p.numel() for p in parameters]
        for p, gradient in zip(parameters, combined.split(sizes)):
            p.grad = gradient.view_as(p).to(p.dtype)
        self._sums = {}
