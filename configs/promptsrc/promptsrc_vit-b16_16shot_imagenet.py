# python tools/train.py configs/promptsrc/promptsrc_vit-b16_16shot_imagenet.py
#
# PromptSRC: independent prompts in both towers (4 vectors, 9 layers), three losses
# that keep them near the frozen CLIP, and the average of the prompts of all epochs.
# These are the values of base-to-new; few-shot and cross-data-set runs have others
# (metafile.yml), which tools/reproduce.py takes.
# Visual prompts need a Vision Transformer, and images in every epoch: features
# cannot be cached.
# Expect (not measured here: needs OpenAI's ViT-B/16 and ImageNet): 20 epochs of
# batch 4; each image takes the image tower twice, with prompts and without.
_base_ = ['../maple/ivlp_vit-b16_16shot_imagenet.py']  # recipe and prompts
method = 'promptsrc'
gaussian_mean = 15  # epochs
gaussian_std = 1
model = dict(
    head=dict(
        hand_written=dict(
            type='mmcoop.TemplatePrompt',
            templates='ensemble60',
            combine='unnormalized'),
        regularizers=[
            dict(type='mmcoop.TextConsistency', weight=25.),
            dict(type='mmcoop.ImageConsistency', weight=10.),
            dict(type='mmcoop.LogitConsistency', weight=1.),
        ]))
custom_hooks = [
    *_base_.custom_hooks,
    dict(
        type='mmcoop.GaussianAverageHook',
        mean='${gaussian_mean}',
        std='${gaussian_std}'),
]
