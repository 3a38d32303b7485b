# The drawn world of mmcoop/demo, seen from a satellite: 10 kinds of land, 50
# images each to draw from, 100 each for testing. A demo, nothing real.
_base_ = './few_shot.py'

dataset = None  # not a published one

train_pipeline = [
    dict(type='mmcoop.RenderDemoImage'),
    dict(
        type='RandomResizedCrop',
        scale='${image_size}',
        crop_ratio_range=(0.5, 1.0),
        backend='pillow',
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='mmcoop.RenderDemoImage'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            _delete_=True,
            type='mmcoop.DemoWorld',
            split='train',
            pipeline=train_pipeline)))
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmcoop.DemoWorld',
        split='test',
        images_per_class=100,
        class_subset='${class_subset}',
        pipeline=test_pipeline))
