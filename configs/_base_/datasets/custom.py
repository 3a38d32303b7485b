# Your own photos: data_root/<class>/*.jpg, or data_root/{train,test}/<class>/;
# or a list: data_root=photos.csv (docs/photos.md).
_base_ = './few_shot.py'

dataset = 'folder'
