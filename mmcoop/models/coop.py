"""Image classifier of a CLIP and a head."""
import logging
from typing import Any, Optional, Sequence, Tuple, Union

import torch
from mmengine.logging import print_log
from mmpretrain.models.classifiers import ImageClassifier

from ..clip import (Architecture, FrozenCLIP, LearnedImageTower, Preprocessing,
                    TowerAdapter, split_projection)
from ..heads import PromptLearnerHead, RecordedHead
from ..prompts import BasePrompt
from ..registry import MODELS


@MODELS.register_module()
class CoOp(ImageClassifier):
    """CLIP with a prompt-learner head, or with a head on its image features.

    CoOp is by Zhou et al., IJCV 2022 (arXiv 2109.01134).

    Args:
        clip: Arguments of :func:`mmcoop.clip.load_clip`, or its result.
        head: A :class:`PromptLearnerHead` or its config, or another head of
            mmpretrain over image features; its ``in_channels`` is set.
        freeze_image_tower: False fine-tunes a copy of the image tower.
        tower_adapter: Config of what is learned inside both towers, a
            :class:`mmcoop.clip.TowerAdapter` such as :class:`mmcoop.LoRA`,
            which is built for each of them. None leaves them frozen. For the
            text tower alone give it to the head.
        train_cfg: As in ``ImageClassifier``; ``augments`` for mixup.
        data_preprocessor: As in ``ImageClassifier``; ``type`` defaults to
            :class:`DataPreprocessor`, ``mean`` and ``std`` to the CLIP's.
        init_cfg: As in ``ImageClassifier``.

    Attributes:
        tower_adapter: That of the image tower, or None; that of the text
            tower is the head's.
        clip_preprocessing: How the CLIP wants its images; the data
            preprocessor may be told otherwise.

    Raises:
        ValueError: Prompt or adapter do not suit the CLIP.

    Example:
        >>> model = dict(
        ...     type='mmcoop.CoOp',
        ...     clip=dict(model_name='ViT-B-16', pretrained='openai'),
        ...     head=dict(type='mmcoop.PromptLearnerHead',
        ...               prompt=dict(type='mmcoop.ContextPrompt', n_ctx=16)))
    """

    def __init__(self,
                 clip: Union[dict, FrozenCLIP],
                 head: dict,
                 freeze_image_tower: bool = True,
                 tower_adapter: Optional[dict] = None,
                 train_cfg: Optional[dict] = None,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        if isinstance(head, dict) and isinstance(head.get('prompt'), dict):
            # before the CLIP is loaded, so that mistakes show at once
            head = dict(head, prompt=MODELS.build(head['prompt']))
            _check_prompt(head['prompt'], clip, freeze_image_tower)
        adapter: Optional[TowerAdapter] = None
        if tower_adapter is not None:
            adapter = MODELS.build(tower_adapter)
            _check_adapter(adapter, head, clip, freeze_image_tower)
            head = {'tower_adapter': tower_adapter, **head}
        if not isinstance(clip, FrozenCLIP):
            from ..clip import load_clip  # imports open_clip
            clip = load_clip(**clip)
        image_tower = clip.image_tower
        if isinstance(head, dict):
            if getattr(_head_class(head), 'before_projection', False):
                image_tower, projection = split_projection(image_tower)
                head = dict(head, projection=projection)
            head = MODELS.build(_with_towers(head, clip))
        clip_name, wanted = clip.text_tower.name, clip.preprocessing
        if data_preprocessor is None or isinstance(data_preprocessor, dict):
            said = data_preprocessor or {}
            if not wanted.is_known and 'mean' not in said:
                _warn_of_assumed(clip_name, wanted)
            data_preprocessor = {
                'type': 'mmcoop.DataPreprocessor',
                'mean': [255 * value for value in wanted.mean],
                'std': [255 * value for value in wanted.std],
                'to_rgb': True,
                **said
            }
        super().__init__(
            backbone=image_tower if freeze_image_tower
            else LearnedImageTower(image_tower),
            head=head,
            train_cfg=train_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg)
        self.clip_name, self.clip_preprocessing = clip_name, wanted
        self.tower_adapter = adapter
        if adapter is not None:
            adapter.setup(clip.image_tower)
        prompt = getattr(self.head, 'prompt', None)
        self.sees_patches = getattr(prompt, 'sees_patches', False)
        if getattr(prompt, 'prompts_images', False):
            prompt.setup_image_side(clip.image_tower)
        if getattr(self.head, 'class_names', None):
            self.set_classes(self.head.class_names)

    def set_classes(self, names: Sequence[str],
                    ids: Optional[Sequence[str]] = None) -> None:
        """Set the classes; see :meth:`PromptLearnerHead.set_classes`."""
        self.head.set_classes(names, ids)
        # mixup makes one-hot labels in the preprocessor
        self.data_preprocessor.num_classes = len(names)

    def extract_feat(
            self, inputs: torch.Tensor, stage: str = 'neck'
    ) -> Union[Tuple[torch.Tensor], torch.Tensor]:
        """Encode images (B, 3, H, W), or pass on features (B, E).

        Args:
            inputs: Images or cached features.
            stage: As in ``ImageClassifier``.
        """
        prompts = self.visual_prompts()
        if inputs.ndim == 2:
            feats = (inputs, )
        elif self.tower_adapter is not None:
            feats = self.tower_adapter.run(self.backbone, inputs, prompts,
                                           self.sees_patches)
        elif prompts is not None or self.sees_patches:
            feats = self.backbone(inputs, prompts, self.sees_patches)
        else:
            return super().extract_feat(inputs, stage)
        return self.head.pre_logits(feats) if stage == 'pre_logits' else feats

    def loss(self, inputs: torch.Tensor, data_samples: list) -> dict:
        """Losses of a batch.

        Args:
            inputs: As in :meth:`extract_feat`.
            data_samples: Data samples with the labels.
        """
        feats = self.extract_feat(inputs)
        if getattr(self.head, 'needs_unprompted', False) and (
                self.tower_adapter is not None
                or self.visual_prompts() is not None):
            with torch.no_grad():
                feats = (*self.backbone(inputs, None, self.sees_patches),
                         *feats)
        return self.head.loss(feats, data_samples)

    def visual_prompts(self) -> Optional[torch.Tensor]:
        """Visual prompts (L, V, W) of the head's prompt, or None."""
        prompt = getattr(self.head, 'prompt', None)
        return None if prompt is None else prompt.visual_prompts()

    def parse_losses(self, losses: dict) -> Tuple[torch.Tensor, dict]:
        """Sum the losses, and attach them to the sum as ``named_losses``.

        :class:`mmcoop.GradientRuleOptimWrapper` reads them.
        """
        total, log_vars = super().parse_losses(losses)
        log_vars['loss'] = total  # where a single loss has this name too
        total.named_losses = {name: value for name, value in log_vars.items()
                              if name != 'loss' and 'loss' in name}
        return total, log_vars

    def init_weights(self) -> None:
        """Do nothing: the towers are loaded, the prompt is initialised."""


def _warn_of_assumed(name: str, assumed: Preprocessing) -> None:
    """Warn that nothing says how images are normalised."""
    mean, std = ([round(value, 4) for value in values]
                 for values in (assumed.mean, assumed.std))
    print_log(
        f'clip: nothing says how images are normalised for these weights of '
        f"{name}; OpenAI's mean={mean} and std={std} are assumed. If they "
        'were trained with others, every number is off: set '
        'clip=dict(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5]), say '
        '(model.clip.mean, model.clip.std), or give a JSON config with '
        'preprocess_cfg.', 'current', logging.WARNING)


def _check_prompt(prompt: BasePrompt, clip: Union[dict, FrozenCLIP],
                  frozen: bool) -> None:
    """Refuse an image tower that does not suit the prompt."""
    if not (prompt.prompts_images or prompt.sees_patches):
        return
    if not frozen:
        raise ValueError(f'{type(prompt).__name__} needs the frozen image '
                         'tower: set model.freeze_image_tower=True.')
    prompt.check_architecture(_architecture(clip))


def _check_adapter(adapter: TowerAdapter, head: Any,
                   clip: Union[dict, FrozenCLIP], frozen: bool) -> None:
    """Refuse an image tower that cannot be adapted."""
    if not frozen:
        raise ValueError(f'{type(adapter).__name__} adapts the frozen image '
                         'tower: set model.freeze_image_tower=True.')
    if not isinstance(head, dict) or not _takes_prompts(head):
        raise ValueError(
            'tower_adapter adapts both towers, and this head has no text '
            'tower: give the config of a mmcoop.PromptLearnerHead.')
    adapter.check_architecture(_architecture(clip))


def _architecture(clip: Union[dict, FrozenCLIP]) -> Architecture:
    if isinstance(clip, FrozenCLIP):
        return clip.architecture
    from ..clip import read_architecture  # imports open_clip
    return read_architecture(**clip)


def _takes_prompts(head: dict) -> bool:
    kind = _head_class(head)
    return kind is None or issubclass(kind, PromptLearnerHead)


def _head_class(head: dict) -> Optional[type]:
    kind: Any = head['type']
    return MODELS.get(kind) if isinstance(kind, str) else kind


def _with_towers(head: dict, clip: FrozenCLIP) -> dict:
    """Add the towers' properties that a head needs to its config."""
    if _takes_prompts(head):
        return dict(head, text_tower=clip.text_tower)
    kind = _head_class(head)
    if issubclass(kind, RecordedHead):  # a head on image features
        head = dict(head, tower=clip.text_tower.name,
                    tower_fingerprint=clip.image_tower.fingerprint())
    return {'in_channels': clip.image_tower.out_channels, **head}
