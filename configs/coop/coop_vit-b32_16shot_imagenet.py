# python tools/train.py configs/coop/coop_vit-b32_16shot_imagenet.py
#
# Expect (not measured here: needs OpenAI's ViT-B-32 and ImageNet): the paper
# prints 66.85 %, mean of 3 seeds.
_base_ = './coop_vit-b16_16shot_imagenet.py'

model = dict(clip=dict(model_name='ViT-B-32'))
