# CoOp as published: 16 vectors, one context for all classes, name at the end.
# Another backbone: model.clip.model_name=RN50. Variants: model.head.prompt.*
method = 'coop-m16-end'  # the entry of configs/coop/metafile.yml
model = dict(
    type='mmcoop.CoOp',
    # or a local file: pretrained='/path/to/ViT-B-16.pt'
    clip=dict(model_name='ViT-B-16', pretrained='openai'),
    head=dict(
        type='mmcoop.PromptLearnerHead',
        prompt=dict(
            type='mmcoop.ContextPrompt',
            n_ctx=16,
            class_token_position='end',
            class_specific=False,
            ctx_init=None)))
