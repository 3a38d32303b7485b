# How to run: hooks, logs, seeds. Every config inherits this. A place with
# '${name}' takes the top-level variable of that name (configs/README.md).
default_scope = 'mmpretrain'
runner_type = 'mmcoop.FewShotRunner'

seed = 1  # of the few-shot draw, the views and everything else random
data_root = 'data'  # the published folder layout lies in it
# 16, say: train on the features of 16 views an image, encoded once. Much
# faster; exact only with as many views as epochs
cached_views = None

custom_hooks = [
    dict(type='mmcoop.ClassNamesHook'),  # names: from data set to head
    dict(type='mmcoop.EpochHook'),  # views: functions of (seed, epoch, image)
    dict(type='mmcoop.SafeCheckpointHook'),
    dict(type='mmcoop.ResultHook'),  # result.json
    # val and test images are encoded once, for all runs
    dict(type='mmcoop.FeatureCacheHook', views='${cached_views}'),
    # how far a context has gone, and its nearest words
    dict(type='mmcoop.ContextHook'),
    dict(type='mmcoop.FiniteLossHook'),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    # short epochs: a line at the end of each
    logger=dict(type='LoggerHook', interval=50, ignore_last=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # tens of KB each; two, in case that the disk damages the last one
    checkpoint=dict(
        type='mmcoop.CheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='VisualizationHook', enable=False),
    # for one's own photos, or as few_shot.py says
    temperature=dict(type='mmcoop.TemperatureHook', enable='${calibrate}'),
    report=dict(
        type='mmcoop.ReportHook',
        enable='${report}',
        templates='${template}'),
    # a short console; all of the log is in the file (--verbose: in both)
    console=dict(type='mmcoop.ConsoleHook'))

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
randomness = dict(seed='${seed}', deterministic=False)

# add dict(type='TensorboardVisBackend') or dict(type='WandbVisBackend')
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends='${vis_backends}')

log_level = 'INFO'
load_from = None
resume = False
