# Your own photos: data_root/<class>/*.jpg, or data_root/{train,test}/<class>/.
_base_ = './few_shot.py'

dataset = None  # not a published one
_photos = dict(
    _delete_=True,
    type='mmcoop.FolderDataset',
    data_root='${data_root}')
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            **_photos, split='train', pipeline={{_base_.train_pipeline}})))
test_dataloader = dict(
    dataset=dict(
        **_photos,
        split='test',
        class_subset='${class_subset}',
        unreadable='${unreadable}',
        pipeline={{_base_.test_pipeline}}))
