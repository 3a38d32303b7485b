# Loss, learning rate and accuracy to TensorBoard as well: inherit this after
# everything else, and `pip install tensorboard`.
visualizer = dict(
    type='UniversalVisualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(type='TensorboardVisBackend')
    ])
