# python tools/train.py configs/coop/coop_vit-b16_16shot_caltech101.py
#
# Expect (not measured here: needs OpenAI's ViT-B/16): 1600 images, 200 epochs
# of 50 iterations. The paper prints 92.07 % for RN50, 16 shots (3 seeds).
_base_ = './coop_vit-b16_16shot_imagenet.py'

dataset = 'caltech101'
