# python tools/test.py configs/zeroshot/zeroshot_vit-b16_imagenet.py
#
# Zero-shot CLIP: no checkpoint, nothing is learned. Other words:
# templates=ensemble7, templates="a drawing of a {}." (configs/README.md).
_base_ = [
    '../_base_/models/zeroshot.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
