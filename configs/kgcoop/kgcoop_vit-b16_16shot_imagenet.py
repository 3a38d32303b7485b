# python tools/train.py configs/kgcoop/kgcoop_vit-b16_16shot_imagenet.py
#
# KgCoOp: CoOp with 4 vectors from "a photo of a", whose class features stay near
# those of the data set's hand-written prompt.
# Any other learned prompt takes the same loss: copy hand_written and regularizers.
# Expect (not measured here: needs OpenAI's ViT-B/16 and ImageNet): 100 epochs of
# batch 128; a step costs what CoOp's does. A draw of fewer than 128 images is one
# step an epoch (EuroSAT's base classes), which is too few: set
# train_dataloader.batch_size=32.
_base_ = [
    '../_base_/models/coop.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
method = 'kgcoop'
recipe_epochs = 100
model = dict(
    head=dict(
        prompt=dict(n_ctx=4, ctx_init='a photo of a'),
        hand_written=dict(
            type='mmcoop.TemplatePrompt', templates='own', own='${template}'),
        regularizers=[dict(type='mmcoop.KnowledgeGuidance', weight=8.)]))
train_dataloader = dict(batch_size=128)
