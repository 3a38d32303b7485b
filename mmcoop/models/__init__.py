"""mmpretrain's extension points: the classifier and the head."""
from .coop import CoOp
from .prompt_head import PromptLearnerHead

__all__ = ['CoOp', 'PromptLearnerHead']
