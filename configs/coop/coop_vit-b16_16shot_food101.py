# python tools/train.py configs/coop/coop_vit-b16_16shot_food101.py
#
# Expect (not measured here: needs OpenAI's ViT-B/16): 1616 images, 200 epochs
# of 50 iterations. The paper prints 74.47 % for RN50, 16 shots (3 seeds).
_base_ = './coop_vit-b16_16shot_imagenet.py'

dataset = 'food101'
