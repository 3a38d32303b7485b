# Your own photos: data_root/<class>/*.jpg, or data_root/{train,test}/<class>/.
_base_ = './few_shot.py'

dataset = None  # not a published one
template = 'a photo of a {}.'
_photos = dict(_delete_=True, type='mmcoop.FolderDataset', data_root='data')
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            **_photos, split='train', pipeline={{_base_.train_pipeline}})))
test_dataloader = dict(
    dataset=dict(**_photos, split='test', pipeline={{_base_.test_pipeline}}))
val_dataloader = test_dataloader
