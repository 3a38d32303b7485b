# python tools/train.py configs/adaptations/text_transform_rn50_imagenet.py
#
# One matrix after the class features of the data set's prompt learns.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): the
# paper prints 58.86 % (CoOp 62.95 %, zero-shot 58.18 %).
_base_ = '../coop/coop_rn50_16shot_imagenet.py'

method = 'text-transform'  # what results and tables call it
templates = 'own'
model = dict(head=dict(adapter=dict(type='mmcoop.TextTransform')))
