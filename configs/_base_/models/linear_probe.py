# A linear classifier on the features of the frozen image tower.
method = 'linear-probe'  # the entry of configs/linear_probe/metafile.yml
model = dict(
    type='mmcoop.CoOp',
    # or a local file: pretrained='/path/to/RN50.pt'
    clip=dict(model_name='RN50', pretrained='openai'),
    head=dict(type='mmcoop.LinearProbeHead'))
