"""Features of the frozen image tower, computed once and kept.

    source    what a loop's images are called, and whether they may be cached
    keys      exact names of towers, pipelines and images
    store     the folder on disk, for many processes
    compute   what is missing; exchange: shared between ranks
    dataset   features in the place of images

:class:`mmcoop.FeatureCacheHook` puts them to use.
"""
