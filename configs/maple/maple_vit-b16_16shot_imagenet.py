# python tools/train.py configs/maple/maple_vit-b16_16shot_imagenet.py
#
# MaPLe: 2 vectors in each of the first 9 layers of the text tower, and Linears that
# make the visual prompts of the same layers from them.
# Visual prompts need a Vision Transformer, and images in every epoch: features
# cannot be cached.
# Expect (not measured here: needs OpenAI's ViT-B/16 and ImageNet): 5 epochs of
# batch 4.
_base_ = [
    '../_base_/models/coop.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
method = 'maple'
recipe_epochs = 5
model = dict(
    head=dict(
        prompt=dict(
            _delete_=True,
            type='mmcoop.MultiModalPrompt',
            n_ctx=2,
            ctx_init='a photo of a',  # "of a" stays as it is
            depth=9)))
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=0.0035))
