# A head on the features of both frozen towers; configs say which. The class
# features are those of any prompt: hand-written ones (see zeroshot.py for
# templates), or a learned context, dict(type='mmcoop.SavedPrompt', ...).
templates = 'own'
model = dict(
    type='mmcoop.CoOp',
    # or a local file: pretrained='/path/to/RN50.pt'
    clip=dict(model_name='RN50', pretrained='openai'),
    head=dict(
        prompt=dict(
            type='mmcoop.TemplatePrompt',
            templates='${templates}',
            own='${template}')))
