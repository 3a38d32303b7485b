# python tools/train.py configs/coop/coop_vit-b16_16shot_stanford_cars.py
#
# Expect (not measured here: needs OpenAI's ViT-B/16): 3136 images, 200 epochs
# of 98 iterations. The paper prints 73.33 % for RN50, 16 shots (3 seeds).
_base_ = './coop_vit-b16_16shot_imagenet.py'

dataset = 'stanford_cars'
