# The drawn world of mmcoop/demo, seen from a satellite: 10 kinds of land, 50
# images each to draw from, 100 each for testing. A demo, nothing real.
_base_ = './few_shot.py'

dataset = 'demo'

train_pipelines = dict(
    crop=[
        dict(type='mmcoop.LoadImage'),
        dict(
            type='RandomResizedCrop',
            scale='${image_size}',
            crop_ratio_range=(0.5, 1.0),
            backend='pillow',
            interpolation='bicubic'),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='PackInputs'),
    ])
