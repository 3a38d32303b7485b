# Hand-written prompts: own (the data set's), generic, name, ensemble7,
# ensemble80, several joined (ensemble7+own), or 'a drawing of a {}.'
method = 'zeroshot-own'  # the entry of configs/zeroshot/metafile.yml
templates = 'own'
model = dict(
    type='mmcoop.CoOp',
    # or a local file: pretrained='/path/to/ViT-B-16.pt'
    clip=dict(model_name='ViT-B-16', pretrained='openai'),
    head=dict(
        type='mmcoop.PromptLearnerHead',
        prompt=dict(
            type='mmcoop.TemplatePrompt',
            templates='${templates}',
            own='${template}')))
