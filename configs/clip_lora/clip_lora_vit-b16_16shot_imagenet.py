# python tools/train.py configs/clip_lora/clip_lora_vit-b16_16shot_imagenet.py
#
# CLIP-LoRA: low-rank matrices beside the queries', keys' and values' weights of all
# layers of both towers, 184,320 numbers for ViT-B/16; a hand-written prompt.
# Needs a Vision Transformer, and images in every epoch: features cannot be cached.
# Expect (not measured here: needs OpenAI's ViT-B/16 and ImageNet): 8,000 steps of
# batch 32, each with gradients through both towers (--amp as published;
# model.head.text_memory=4 bounds the text tower's part).
_base_ = [
    '../_base_/models/zeroshot.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/steps_adamw.py', '../_base_/default_runtime.py'
]
method = 'clip-lora'
train_dataloader = dict(drop_last=False)  # as published
model = dict(
    tower_adapter=dict(type='mmcoop.LoRA', rank=2, alpha=1., dropout=0.25),
    # "a photo of a {}." of every data set, as published
    head=dict(prompt=dict(templates='generic')))
