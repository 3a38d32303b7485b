# python tools/train.py configs/coop/coop_vit-b16_16shot_sun397.py
#
# Expect (not measured here: needs OpenAI's ViT-B/16): 6352 images, 200 epochs
# of 198 iterations. The paper prints 69.40 % for RN50, 16 shots (3 seeds).
_base_ = './coop_vit-b16_16shot_imagenet.py'

dataset = 'sun397'
