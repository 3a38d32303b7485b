"""Checkpoints without pickled objects, that resume on every mmengine."""
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from ..registry import HOOKS

KEPT = 100  # log values kept for smoothing after a resume


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Write mmengine's log history as plain numbers, and read it back.

    mmengine pickles ``HistoryBuffer`` objects into every training checkpoint;
    torch >= 2.6 refuses them, so that mmengine 0.10.7 cannot resume, and
    0.11 switches the safety off instead.
    """
    priority = 'VERY_LOW'

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        hub = checkpoint.get('message_hub')
        if hub is None:
            return
        hub['log_scalars'] = {
            name: [[float(x) for x in part[-KEPT:]] for part in buffer.data]
            for name, buffer in hub['log_scalars'].items()
        }

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        hub = checkpoint.get('message_hub')
        if hub is None:
            return
        hub['log_scalars'] = {
            name: HistoryBuffer(*parts) if isinstance(parts, list) else parts
            for name, parts in hub['log_scalars'].items()
        }
