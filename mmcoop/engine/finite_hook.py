"""A run whose numbers are no numbers any more stops at once."""
from typing import Any, Dict, Optional

from mmengine.hooks import Hook

from ..clip.weights import find_not_finite
from ..registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop a training at the first loss that is NaN or infinite.

    mmengine's ``CheckInvalidLossHook`` looks at every 50th iteration; here
    every one is looked at (the log reads each loss anyway), and a checkpoint
    whose learned tensors are not finite is not saved, so that the last one is
    always good to go on from.

    Gradients that overflow in fp16 and are skipped by the loss scaler leave
    the loss finite, and are no error.

    Raises:
        FloatingPointError: With the iteration, the learning rate, the losses
            and the last checkpoint.
    """

    def after_train_iter(self, runner, batch_idx: int, data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        losses: Dict[str, float] = {
            name: float(value.detach())
            for name, value in (outputs or {}).items() if 'loss' in name}
        if not all(map(_is_finite, losses.values())):
            said = ', '.join(f'{name}={value}'
                             for name, value in losses.items())
            raise FloatingPointError(_message(
                runner, f'{said} in iteration {runner.iter + 1} of epoch '
                f'{runner.epoch + 1}'))

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        broken = find_not_finite(checkpoint['state_dict'])
        if broken:
            raise FloatingPointError(_message(
                runner, f'{", ".join(broken[:3])} not finite after iteration '
                f'{runner.iter}'))


def _is_finite(value: float) -> bool:
    return abs(value) < float('inf')


def _message(runner, what: str) -> str:
    optimizer = runner.optim_wrapper
    rates = {f'{rate:g}' for values in optimizer.get_lr().values()
             for rate in values} if hasattr(optimizer, 'get_lr') else ()
    last = getattr(runner, 'last_checkpoint', None)
    rates = f', learning rate {", ".join(sorted(rates))}' if rates else ''
    return (
        f'{what}{rates}. '
        + (f'The last good checkpoint is {last}. ' if last else
           'No checkpoint was saved before. ')
        + 'Try a smaller optim_wrapper.optimizer.lr, '
        'model.clip.precision=fp32, or optim_wrapper.clip_grad.max_norm=1.')
