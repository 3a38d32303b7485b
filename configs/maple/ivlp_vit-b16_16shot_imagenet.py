# python tools/train.py configs/maple/ivlp_vit-b16_16shot_imagenet.py
#
# IVLP: independent prompts in both towers, 4 vectors in each of the first 9 layers;
# the recipe that PromptSRC compares with.
# Visual prompts need a Vision Transformer, and images in every epoch: features
# cannot be cached.
# Expect (not measured here: needs OpenAI's ViT-B/16 and ImageNet): 20 epochs of
# batch 4.
_base_ = [
    '../_base_/models/coop.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
method = 'ivlp'
recipe_epochs = 20
model = dict(
    head=dict(
        prompt=dict(
            _delete_=True,
            type='mmcoop.MultiModalPrompt',
            n_ctx=4,
            ctx_init='a photo of a',
            depth=9,
            coupled=False)))
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=0.0025))
