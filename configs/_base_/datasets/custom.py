# Your own photos: data_root/<class>/*.jpg, or data_root/{train,test}/<class>/.
_base_ = './few_shot.py'

dataset = 'folder'
