"""The head: image features against class features made from prompts."""
from typing import List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmpretrain.models.heads import ClsHead

from ..clip import TextDivider, TextTower, load_clip
from ..prompts import BasePrompt
from ..registry import MODELS
from . import prompt_state


@MODELS.register_module()
class PromptLearnerHead(ClsHead):
    """``logits = exp(logit_scale) * normalised f @ normalised w.T``.

    Args:
        prompt: A prompt, or its config: what is learned or written by hand.
        text_tower: The frozen text tower. :class:`CoOp` gives it; over any
            other backbone give ``clip`` instead.
        clip: Arguments of :func:`mmcoop.clip.load_clip`; its image tower is
            dropped. For use over a backbone that is not CLIP's own.
        classes: Class names, if they are not to come from the data set.
        text_memory: GiB that the text tower's activations may take in
            training; None sets no limit. See :class:`TextDivider`.
        adapter: Config of a module that changes the class features (K, E),
            such as :class:`TextBias`; None leaves them.
        **kwargs: ``loss``, ``topk``, ``cal_acc``, ``init_cfg`` of ``ClsHead``.
    """

    def __init__(self,
                 prompt: Union[dict, BasePrompt],
                 text_tower: Optional[TextTower] = None,
                 clip: Optional[dict] = None,
                 classes: Optional[Sequence[str]] = None,
                 text_memory: Optional[float] = None,
                 adapter: Optional[dict] = None,
                 **kwargs) -> None:
        self.divider = TextDivider(text_memory)
        super().__init__(**kwargs)
        if text_tower is None:
            if clip is None:
                raise ValueError(
                    'PromptLearnerHead needs a text tower: use it in '
                    'mmcoop.CoOp or give it clip=dict(...).')
            text_tower = load_clip(**clip).text_tower
        self.text_tower = text_tower
        self.prompt = prompt if isinstance(prompt, BasePrompt) \
            else MODELS.build(prompt)
        self.prompt.setup(text_tower)
        self.adapter = adapter and MODELS.build(
            dict(adapter, channels=text_tower.out_channels))
        self.forget_features()
        self._register_state_dict_hook(prompt_state.save_record)
        self._register_load_state_dict_pre_hook(
            prompt_state.load_record, with_module=True)
        if classes is not None:
            self.set_classes(classes)

    @property
    def class_names(self) -> List[str]:
        return self.prompt.class_names

    def set_classes(self, names: Sequence[str]) -> None:
        """Take other classes, in training or at run time.

        A unified context carries over to any classes; a class-specific one
        refuses another number of them.

        Raises:
            ValueError: See :meth:`ContextPrompt.set_classes`.
        """
        self.prompt.set_classes(names, self.text_tower)
        self.forget_features()

    def forget_features(self) -> None:
        """Drop the class features that evaluation keeps."""
        self._cached: Tuple[Optional[tuple], Optional[torch.Tensor]] = \
            (None, None)

    def text_features(self) -> torch.Tensor:
        """L2-normalised class features, (K, E), in fp32.

        In evaluation, and where the prompt has nothing to learn, they are
        computed once and kept until the prompt is changed in place, its
        classes, the device or the precision change, or ``train()`` or
        ``eval()`` is called (which follows every swap of ``.data``, as EMA's).
        """
        if not self.class_names:
            raise RuntimeError(
                'the class names are not known yet. They come from the data '
                "set through custom_hooks=[dict(type='mmcoop.ClassNamesHook')]"
                ', from a checkpoint, from head.classes=[...] or from '
                'model.set_classes([...]).')
        features = self._prompt_features()
        if self.adapter is None:
            return features
        return F.normalize(self.adapter(features), dim=-1)

    def _prompt_features(self) -> torch.Tensor:
        learned = next(self.prompt.parameters(), None) is not None
        if learned and (self.training or torch.is_grad_enabled()):
            return self._encode()
        key = self._cache_key()
        if self._cached[0] != key:
            with torch.no_grad():
                self._cached = (key, self._encode())
        return self._cached[1]

    def _cache_key(self) -> tuple:
        scale = self.text_tower.logit_scale
        autocast = torch.is_autocast_enabled(scale.device.type)
        return (scale.device, autocast) + tuple(
            (p.data_ptr(), p._version) for p in self.prompt.parameters())

    def _encode(self) -> torch.Tensor:
        # in training every rank is here; in evaluation one may be alone
        shared = self.training and torch.is_grad_enabled()
        sets = [
            F.normalize(
                self.divider.encode(self.text_tower, prompts, shared).float(),
                dim=-1) for prompts in self.prompt(self.text_tower)
        ]
        features = torch.cat(sets)  # (beginnings of all sets, K, E)
        if len(features) == 1:
            return features[0]
        return F.normalize(features.mean(0), dim=-1)  # an ensemble

    def train(self, mode: bool = True) -> 'PromptLearnerHead':
        self.forget_features()
        return super().train(mode)

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits (B, K) in fp32 from image features ((B, E), )."""
        image = F.normalize(self.pre_logits(feats).float(), dim=-1)
        text = self.text_features()
        scale = self.text_tower.logit_scale.float().exp()
        # half-precision logits of a thousand classes cost accuracy
        with torch.autocast(image.device.type, enabled=False):
            return scale * image @ text.t()
