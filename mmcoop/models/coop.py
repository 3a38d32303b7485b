"""The classifier: a frozen CLIP whose class weights are prompts."""
from typing import Any, Optional, Sequence, Tuple, Union

import torch
from mmpretrain.models.classifiers import ImageClassifier

from ..clip import FrozenCLIP, LearnedImageTower, load_clip
from ..registry import MODELS
from .prompt_head import PromptLearnerHead


@MODELS.register_module()
class CoOp(ImageClassifier):
    """CLIP with a prompt-learner head (CoOp, and zero-shot with templates).

    Args:
        clip: Arguments of :func:`mmcoop.clip.load_clip`, or its result.
        head: A :class:`PromptLearnerHead`, or its config; or another head of
            mmpretrain over the image tower, which is told ``in_channels``.
        freeze_image_tower: False fine-tunes a copy of the image tower.
        train_cfg: As in ``ImageClassifier``; ``augments`` for mixup.
        data_preprocessor: As in ``ImageClassifier``. What it does not say of
            ``mean`` and ``std`` is the CLIP's own, and its type is
            :class:`DataPreprocessor`.
        init_cfg: As in ``ImageClassifier``.

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
                 train_cfg: Optional[dict] = None,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        if isinstance(head, dict) and isinstance(head.get('prompt'), dict):
            # before the CLIP is fetched: mistakes show at once
            head = dict(head, prompt=MODELS.build(head['prompt']))
        if not isinstance(clip, FrozenCLIP):
            clip = load_clip(**clip)
        if isinstance(head, dict):
            head = MODELS.build(_with_towers(head, clip))
        clip_name = clip.text_tower.name
        if data_preprocessor is None or isinstance(data_preprocessor, dict):
            data_preprocessor = {
                'type': 'mmcoop.DataPreprocessor',
                'mean': [255 * value for value in clip.mean],
                'std': [255 * value for value in clip.std],
                'to_rgb': True,
                **(data_preprocessor or {})
            }
        super().__init__(
            backbone=clip.image_tower if freeze_image_tower
            else LearnedImageTower(clip.image_tower),
            head=head,
            train_cfg=train_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg)
        self.clip_name = clip_name
        if getattr(self.head, 'class_names', None):
            self.set_classes(self.head.class_names)

    def set_classes(self, names: Sequence[str]) -> None:
        """Take other classes; see :meth:`PromptLearnerHead.set_classes`."""
        self.head.set_classes(names)
        # mixup makes one-hot labels there
        self.data_preprocessor.num_classes = len(names)

    def extract_feat(
            self, inputs: torch.Tensor, stage: str = 'neck'
    ) -> Union[Tuple[torch.Tensor], torch.Tensor]:
        """Features of images (B, 3, H, W); features (B, E) are they already.

        ``stage`` as in ``ImageClassifier``.
        """
        if inputs.ndim != 2:
            return super().extract_feat(inputs, stage)
        feats = (inputs, )
        return self.head.pre_logits(feats) if stage == 'pre_logits' else feats

    def init_weights(self) -> None:
        """Nothing to do: CLIP is loaded and the prompt made its own start.

        The host would walk through every frozen tensor to report its mean.
        """


def _with_towers(head: dict, clip: FrozenCLIP) -> dict:
    """A head's config with what it needs of the CLIP."""
    kind: Any = head['type']
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    if kind is None or issubclass(kind, PromptLearnerHead):
        return dict(head, text_tower=clip.text_tower)
    return {'in_channels': clip.image_tower.out_channels, **head}
