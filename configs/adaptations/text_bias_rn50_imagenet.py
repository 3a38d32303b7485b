# python tools/train.py configs/adaptations/text_bias_rn50_imagenet.py
#
# One vector added to the class features of the data set's prompt learns.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): the
# paper prints 60.93 % (CoOp 62.95 %, zero-shot 58.18 %).
_base_ = [
    '../_base_/models/zeroshot.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
method = 'text-bias'
model = dict(clip=dict(model_name='RN50'),
             head=dict(adapter=dict(type='mmcoop.TextBias')))
