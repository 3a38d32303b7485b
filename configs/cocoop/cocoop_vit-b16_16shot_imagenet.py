# python tools/train.py configs/cocoop/cocoop_vit-b16_16shot_imagenet.py
#
# CoCoOp: 4 vectors from "a photo of a", shifted for each image by a small network.
# Other data sets, shots and CLIPs: one option each, as for CoOp
# (dataset=eurosat class_subset=base).
# Expect (not measured here: needs OpenAI's ViT-B/16 and ImageNet): 10 epochs of
# batch 1, as published; each image takes all class names through the text tower.
_base_ = [
    '../_base_/models/coop.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
method = 'cocoop'
recipe_epochs = 10
model = dict(
    head=dict(
        text_memory=4,  # GiB; larger batches take more time instead
        prompt=dict(
            _delete_=True,
            type='mmcoop.ConditionalContextPrompt',
            n_ctx=4,
            ctx_init='a photo of a')))
train_dataloader = dict(batch_size=1)
