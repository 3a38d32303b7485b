# python tools/train.py configs/adaptations/finetune_rn50_imagenet.py
#
# The image tower learns too, from zero-shot CLIP with the data set's prompt.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): the
# paper prints 18.28 % (CoOp 62.95 %, zero-shot 58.18 %).
_base_ = [
    '../_base_/models/zeroshot.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
method = 'finetune'
model = dict(clip=dict(model_name='RN50'), freeze_image_tower=False)
