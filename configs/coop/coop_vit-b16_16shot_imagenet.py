# python tools/train.py configs/coop/coop_vit-b16_16shot_imagenet.py
#
# The root of all others: data set, backbone, shots, seed and variant are one
# option each (configs/README.md).
# Expect (not measured here: needs OpenAI's ViT-B/16 and ImageNet): 16,000
# images, 50 epochs of 500 iterations. The paper prints 71.92 % (3 seeds).
_base_ = [
    '../_base_/models/coop.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
