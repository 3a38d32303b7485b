# python tools/train.py configs/plot/plot_vit-b16_16shot_imagenet.py
#
# PLOT: 4 prompts of 16 vectors for each class, compared with the patches of an
# image by optimal transport. A ViT or one of OpenAI's ResNets.
# Local features are too large to be cached: images are encoded in every epoch.
# Expect (not measured here: needs OpenAI's ViT-B/16 and ImageNet): 50 epochs of
# batch 32.
_base_ = [
    '../_base_/models/coop.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
method = 'plot'
recipe_epochs = 50
model = dict(
    head=dict(
        prompt=dict(
            _delete_=True,
            type='mmcoop.TransportPrompt',
            n_ctx=16,
            n_prompts=4)))
