# python tools/train.py configs/linear_probe/linear_probe_rn50_16shot_imagenet.py
#
# Logistic regression on the features of the frozen image tower, as the paper's
# linear probe; C is searched on the validation draw. Other backbones, data
# sets and shots: model.clip.model_name=ViT-B-16 dataset=dtd shots=4.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): minutes, once
# the features are cached. The paper prints 55.87 % (16 shots).
_base_ = [
    '../_base_/models/linear_probe.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/fit.py', '../_base_/default_runtime.py'
]
