# python tools/test.py configs/zeroshot/zeroshot_vit-b16_caltech101.py
#
# Zero-shot CLIP: no checkpoint, nothing is learned. Other words:
# templates=ensemble7, templates="a drawing of a {}." (configs/README.md).
_base_ = './zeroshot_vit-b16_imagenet.py'

dataset = 'caltech101'
