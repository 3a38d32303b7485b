# python tools/train.py configs/prograd/prograd_vit-b16_16shot_imagenet.py
#
# ProGrad: CoOp's recipe; from each gradient the part is removed that conflicts
# with the hand-written prompt's predictions.
# Expect (not measured here: needs OpenAI's ViT-B/16 and ImageNet): CoOp's epochs;
# a step goes back through the text tower twice. No --amp; model.clip.precision=bf16
# computes the towers in half precision.
_base_ = [
    '../_base_/models/coop.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
method = 'prograd'
model = dict(
    head=dict(
        hand_written=dict(
            type='mmcoop.TemplatePrompt', templates='own', own='${template}'),
        regularizers=[dict(type='mmcoop.ZeroShotDistillation')]))
optim_wrapper = dict(type='mmcoop.ProGradOptimWrapper', lambda_=1.)
