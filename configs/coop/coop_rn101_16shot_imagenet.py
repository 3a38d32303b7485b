# python tools/train.py configs/coop/coop_rn101_16shot_imagenet.py
#
# Expect (not measured here: needs OpenAI's RN101 and ImageNet): the paper
# prints 66.60 %, mean of 3 seeds.
_base_ = './coop_vit-b16_16shot_imagenet.py'

model = dict(clip=dict(model_name='RN101'))
