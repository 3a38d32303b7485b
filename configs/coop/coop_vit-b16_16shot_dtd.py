# python tools/train.py configs/coop/coop_vit-b16_16shot_dtd.py
#
# Expect (not measured here: needs OpenAI's ViT-B/16): 752 images, 200 epochs
# of 23 iterations. The paper prints 63.70 % for RN50, 16 shots (3 seeds).
_base_ = './coop_vit-b16_16shot_imagenet.py'

dataset = 'dtd'
