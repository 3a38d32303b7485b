# python tools/train.py configs/maple/vpt_vit-b16_16shot_imagenet.py
#
# VPT: 8 visual prompts in each of the first 12 layers of the image tower (deep), or
# in the first alone (model.head.prompt.visual_depth=1, shallow); the words of the
# text prompt are written by hand.
# Visual prompts need a Vision Transformer, and images in every epoch: features
# cannot be cached.
# Expect (not measured here: needs OpenAI's ViT-B/16 and ImageNet): 5 epochs of
# batch 4.
_base_ = [
    '../_base_/models/coop.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
method = 'vpt'
recipe_epochs = 5
model = dict(
    head=dict(
        prompt=dict(
            _delete_=True,
            type='mmcoop.MultiModalPrompt',
            n_ctx=0,
            ctx_init='a photo of a',
            coupled=False,
            n_visual=8,
            visual_depth=12)))
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=0.0025))
