# python tools/train.py configs/coop/coop_vit-b16_16shot_oxford_pets.py
#
# Expect (not measured here: needs OpenAI's ViT-B/16): 592 images, 200 epochs
# of 18 iterations. The paper prints 86.30 % for RN50, 16 shots (3 seeds).
_base_ = './coop_vit-b16_16shot_imagenet.py'

dataset = 'oxford_pets'
