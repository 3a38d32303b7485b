# python tools/train.py configs/coop/coop_vit-b16_16shot_eurosat.py
#
# Expect (not measured here: needs OpenAI's ViT-B/16): 160 images, 200 epochs
# of 5 iterations. The paper prints 83.27 % for RN50, 16 shots (3 seeds).
_base_ = './coop_vit-b16_16shot_imagenet.py'

dataset = 'eurosat'
