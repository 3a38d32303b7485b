"""The head: image features against class features made from prompts."""
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F

from ..clip import TextDivider, TextTower, TowerAdapter
from ..losses import LossInputs, build_regularizers
from ..prompts import BasePrompt
from ..registry import MODELS
from .record import RecordedHead, check_prompt, shorten


@MODELS.register_module()
class PromptLearnerHead(RecordedHead):
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
        tower_adapter: Config of what is learned inside the text tower, a
            :class:`mmcoop.clip.TowerAdapter`; None leaves the tower frozen.
        regularizers: Configs of losses beside the classification loss, each
            a :class:`mmcoop.losses.Regularizer`.
        hand_written: Config of the hand-written prompt whose class features
            regularisers see.
        **kwargs: ``loss``, ``topk``, ``cal_acc``, ``init_cfg`` of ``ClsHead``.

    Raises:
        ValueError: There is no text tower; or a regulariser lacks what it
            needs.
    """

    def __init__(self,
                 prompt: Union[dict, BasePrompt],
                 text_tower: Optional[TextTower] = None,
                 clip: Optional[dict] = None,
                 classes: Optional[Sequence[str]] = None,
                 text_memory: Optional[float] = None,
                 adapter: Optional[dict] = None,
                 tower_adapter: Optional[dict] = None,
                 regularizers: Sequence[dict] = (),
                 hand_written: Optional[dict] = None,
                 **kwargs) -> None:
        self.divider = TextDivider(text_memory)
        super().__init__(**kwargs)
        self.prompt = prompt if isinstance(prompt, BasePrompt) \
            else MODELS.build(prompt)
        self.hand_written = hand_written and MODELS.build(hand_written)
        self.regularizers = build_regularizers(regularizers, hand_written)
        if text_tower is None:
            text_tower = self._load_text_tower(clip)
        self.text_tower = text_tower
        self.prompt.setup(text_tower)
        self.adapter = adapter and MODELS.build(
            dict(adapter, channels=text_tower.out_channels))
        self.tower_adapter: Optional[TowerAdapter] = None
        if tower_adapter is not None:
            self.tower_adapter = MODELS.build(tower_adapter)
            self.tower_adapter.setup(text_tower)
        self.reset_cache()
        if classes is not None:
            self.set_classes(classes)

    def _load_text_tower(self, clip: Optional[dict]) -> TextTower:
        if clip is None:
            raise ValueError(
                'PromptLearnerHead needs a text tower: use it in '
                'mmcoop.CoOp or give it clip=dict(...).')
        if self.prompt.prompts_images or self.prompt.sees_patches:
            raise ValueError(
                f'{type(self.prompt).__name__} needs the image tower of a '
                'CLIP: use it in mmcoop.CoOp.')
        from ..clip import load_clip  # imports open_clip
        return load_clip(**clip).text_tower

    @property
    def class_names(self) -> List[str]:
        return self.prompt.class_names

    @property
    def needs_unprompted(self) -> bool:
        """Whether a regulariser compares with unprompted image features."""
        return any(regularizer.needs_unprompted
                   for regularizer in self.regularizers.values())

    @property
    def fixes_classes(self) -> bool:
        """Whether what is learned has its shape from the classes."""
        return getattr(self.prompt, 'class_specific', False)

    def set_classes(self, names: Sequence[str],
                    ids: Optional[Sequence[str]] = None) -> None:
        """Take other classes, in training or at run time.

        A unified context carries over to any classes; a class-specific one
        refuses another number of them.

        Args:
            names: Class names.
            ids: Not needed here; see :class:`LinearProbeHead`.

        Raises:
            ValueError: See :meth:`ContextPrompt.set_classes`.
        """
        self.prompt.set_classes(names, self.text_tower)
        self.reset_cache()

    def reset_cache(self) -> None:
        """Drop the class features that evaluation keeps."""
        self._cached: Dict[str, tuple] = {}

    def text_features(self, image: Optional[torch.Tensor] = None
                      ) -> torch.Tensor:
        """L2-normalised class features in fp32.

        In evaluation, and where neither prompt nor tower learns, they are
        computed once and kept until a parameter is changed in place, the
        classes, the device or the precision change, or ``train()`` or
        ``eval()`` is called (which follows every swap of ``.data``, as EMA's).

        Args:
            image: (B, E), L2-normalised image features, for prompts that see
                the images.

        Returns:
            (K, E), or (B, K, E) of a prompt that sees the images. Where the
            logits of S prompts are combined, (S, K, E) or (S, B, K, E).
        """
        if not self.class_names:
            raise RuntimeError(
                'the class names are not known yet. They come from the data '
                "set through custom_hooks=[dict(type='mmcoop.ClassNamesHook')]"
                ', from a checkpoint, from head.classes=[...] or from '
                'model.set_classes([...]).')
        features = self._encode(self.prompt, self.tower_adapter, image) \
            if self._must_encode() else self._encode_once(
                'prompt', self.tower_adapter)
        if self.adapter is None:
            return features
        return F.normalize(self.adapter(features), dim=-1)

    def hand_written_features(self) -> torch.Tensor:
        """(K, E): those of ``hand_written`` in the tower without adapter,
        computed once."""
        if self.hand_written.class_names != self.class_names:
            self.hand_written.set_classes(self.class_names, self.text_tower)
        return self._encode_once('hand_written')

    def _must_encode(self) -> bool:
        learned = _parameters(self.prompt, self.tower_adapter)
        return self.prompt.sees_images or (
            bool(learned) and (self.training or torch.is_grad_enabled()))

    def _encode_once(self, which: str,
                     adapter: Optional[TowerAdapter] = None) -> torch.Tensor:
        prompt = getattr(self, which)
        device = self.text_tower.logit_scale.device
        key = (device, torch.is_autocast_enabled(device.type)) + tuple(
            (p.data_ptr(), p._version) for p in _parameters(prompt, adapter))
        if which not in self._cached or self._cached[which][0] != key:
            with torch.no_grad():
                self._cached[which] = key, self._encode(prompt, adapter)
        return self._cached[which][1]

    def _encode(self, prompt: BasePrompt,
                adapter: Optional[TowerAdapter] = None,
                image: Optional[torch.Tensor] = None) -> torch.Tensor:
        args = (image, ) if prompt.sees_images else ()
        # in training every rank is here; in evaluation one may be alone.
        # Prompts that see images differ from rank to rank
        shared = self.training and torch.is_grad_enabled() \
            and not prompt.sees_images
        sets = [self.divider.encode(self.text_tower, prompts, shared,
                                    adapter).float()
                for prompts in prompt(self.text_tower, *args)]
        # (prompts of a class, K, E) or (prompts of a class, B, K, E)
        features = torch.stack(sets) if prompt.sees_images else torch.cat(sets)
        if prompt.combine != 'unnormalized':
            features = F.normalize(features, dim=-1)
            if len(features) == 1:
                return features[0]
        if prompt.combine == 'logits':
            return features
        return F.normalize(features.mean(0), dim=-1)  # an ensemble

    def train(self, mode: bool = True) -> 'PromptLearnerHead':
        self.reset_cache()
        return super().train(mode)

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits (B, K) in fp32 from image features ((B, E), )."""
        image, patches = self._normalise(feats)
        return self.compute_logits(image, self.text_features(image), patches)

    def _normalise(self, feats: Tuple[torch.Tensor]
                   ) -> Tuple[torch.Tensor, Optional[torch.Tensor]]:
        """Pooled features (B, E), and those of patches (B, M, E) or None."""
        features = F.normalize(self.pre_logits(feats).float(), dim=-1)
        if self.prompt.sees_patches:
            return features[:, 0], features[:, 1:]
        return features, None

    def compute_logits(self, image: torch.Tensor, text: torch.Tensor,
                       patches: Optional[torch.Tensor] = None
                       ) -> torch.Tensor:
        """Logits (B, K) in fp32.

        Args:
            image: (B, E), L2-normalised.
            text: What :meth:`text_features` gives for them.
            patches: (B, M, E), L2-normalised, if the prompt sees patches.

        Raises:
            ValueError: Images and classes have features of other widths.
        """
        if image.shape[-1] != text.shape[-1]:
            raise ValueError(
                f'image features of width {image.shape[-1]}, but '
                f'{self.text_tower.name} has class features of width '
                f'{text.shape[-1]}: a prompt needs an image tower and a text '
                'tower that belong together.')
        # half-precision logits of a thousand classes cost accuracy
        with torch.autocast(image.device.type, enabled=False):
            return self.text_tower.logit_scale.float().exp() \
                * self.prompt.compare(image, text, patches)

    def loss(self, feats: Tuple[torch.Tensor], data_samples: list,
             **kwargs) -> dict:
        """The classification loss, and one for each regulariser.

        With regularisers it is ``loss_cls``; mmengine adds them up.

        Args:
            feats: Image features ((B, E), ); if ``needs_unprompted``, before
                them those of the tower without visual prompts.
            data_samples: Data samples with the labels.
            **kwargs: Arguments of the classification loss.
        """
        image, patches = self._normalise(feats)
        text = self.text_features(image)
        logits = self.compute_logits(image, text, patches)
        losses = self._get_loss(logits, data_samples, **kwargs)
        if self.regularizers:
            inputs = LossInputs(
                class_features=text, image_features=image, logits=logits,
                logit_scale=self.text_tower.logit_scale.float().exp(),
                hand_written_features=self.hand_written
                and self.hand_written_features(),
                unprompted_image_features=self._normalise(feats[:1])[0]
                if self.needs_unprompted else None)
            losses['loss_cls'] = losses.pop('loss')
            losses.update((f'loss_{name}', regularizer(inputs))
                          for name, regularizer in self.regularizers.items())
        return losses

    def make_record(self) -> dict:
        adapter = self.tower_adapter
        return dict(
            prompt=self.prompt.settings(),
            tower_adapter=None if adapter is None else adapter.settings(),
            tower=self.text_tower.name,
            tower_fingerprint=self.text_tower.fingerprint(),
            classes=list(self.class_names))

    def check_record(self, record: dict, learned: List[str]) -> None:
        """As of :class:`RecordedHead`; also another kind of prompt, or a
        class-specific one of other classes, is refused."""
        self.reset_cache()
        super().check_record(record, learned)
        check_prompt(record, self.make_record(), learned,
                     self.prompt.learned)
        self._check_classes(record)

    def _check_classes(self, record: dict) -> None:
        """Take the class names, or refuse others where shapes follow."""
        classes = record['classes']
        if not self.class_names and classes:
            self.set_classes(classes)
        elif getattr(self.prompt, 'class_specific', False) \
                and list(self.class_names) != classes:
            raise ValueError(
                'this class-specific prompt was learned for '
                f'{shorten(classes)}, the data set has '
                f'{shorten(self.class_names, "")}: each vector belongs to the '
                'class it was learned for.')


def _parameters(*modules: Optional[nn.Module]) -> List[nn.Parameter]:
    return [p for module in modules if module is not None
            for p in module.parameters()]
