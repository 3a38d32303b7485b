# python tools/train.py configs/cross_modal/cross_modal_rn50_16shot_imagenet.py
#
# A linear probe whose batches are half images and half prompts; 12 combinations
# of learning rate, weight decay and batch size, and the step, are selected.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): tens of minutes on
# CPUs, once the training images are encoded.
_base_ = [
    '../_base_/models/feature_head.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/fit.py', '../_base_/default_runtime.py'
]
method = 'cross-modal'  # the entry of configs/cross_modal/metafile.yml
model = dict(head=dict(type='mmcoop.CrossModalHead'))
