# Few-shot training and testing on the paper's 11 data sets and 4 ImageNet
# variants, in the published layout below data_root (tools/check_data.py tells
# what is there). A place with '${name}' takes the variable of that name.
# dataset=folder: your own photos, data_root/<class>/*.jpg; dataset=demo: drawn.
dataset = 'imagenet'
template = None  # the data set's own hand-written prompt
class_subset = None  # 'base' or 'new' half of the classes
val_split = 'test'  # 'val': the validation draw, for whatever selects by it
shots = 16
# wrong training labels on purpose: this part of each class, 0 to 0.5
label_noise = 0
noise_kind = 'symmetric'  # any other class; 'pair': the next one
unreadable = 'stop'  # 'skip': leave out images that cannot be read
# of your own photos (dataset=folder): a list of paths and labels, a file that
# says the classes (docs/photos.md)
ann_file = ''
class_names = None
# a temperature of the probabilities, fitted on validation images; a page for
# people, report.html. None: for your own photos
calibrate = None
report = None
num_workers = 16  # at most: the runner takes no more than a rank has CPUs

# of the shipped configs; 'translation': said to be those of the paper's runs
views = 'crop'
crop_ratio_range = (0.08, 1.0)  # part of the area that a crop keeps

train_pipeline = [
    dict(type='mmcoop.LoadImage', as_shown='${own_photos}'),
    dict(
        type='mmcoop.RandomView',
        views='${views}',
        scale='${image_size}',  # of the CLIP
        crop_ratio_range='${crop_ratio_range}',
        backend='pillow',
        interpolation='${interpolation}'),  # of the CLIP
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='mmcoop.LoadImage', as_shown='${own_photos}'),
    dict(
        type='mmcoop.CLIPResize',
        scale='${image_size}',
        resize_mode='${resize_mode}',  # of the CLIP, like the other two
        interpolation='${interpolation}'),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers='${num_workers}',
    persistent_workers=True,
    drop_last=True,  # not the only batch of a small draw
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmcoop.FewShotDataset',
        shots='${shots}',
        seed='${randomness.seed}',
        class_subset='${class_subset}',
        unreadable='${unreadable}',
        label_noise=dict(kind='${noise_kind}', rate='${label_noise}'),
        dataset=dict(
            type='${dataset_type}',
            name='${dataset}',
            data_root='${data_root}',
            ann_file='${ann_file}',
            class_names='${class_names}',
            split='train',
            pipeline=train_pipeline)))
test_dataloader = dict(
    batch_size=100,
    num_workers='${num_workers}',
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='${dataset_type}',
        name='${dataset}',
        data_root='${data_root}',
        ann_file='${ann_file}',
        class_names='${class_names}',
        split='test',
        class_subset='${class_subset}',
        unreadable='${unreadable}',
        pipeline=test_pipeline))
test_evaluator = [  # accuracy first: save_best='auto' takes it
    dict(type='Accuracy', topk=(1, )),
    dict(type='mmcoop.CalibrationError')
]

# at the end of training: the published report is the test accuracy. The data
# set is that of test_dataloader, or the validation draw (val_split)
val_dataloader = dict(**test_dataloader)
val_dataloader.update(dataset='${val_dataset}')
val_evaluator = test_evaluator
