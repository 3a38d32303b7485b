"""Features of the frozen image tower, computed once and cached on disk.

    source    whether a loader's images can be cached, and under which keys
    keys      exact hashes of towers, pipelines and images
    store     the cache folder, which many processes share
    compute   computes missing features
    exchange  divides this work among ranks
    dataset   a data set and a loader of features instead of images

:class:`mmcoop.FeatureCacheHook` uses them in mmengine's loops.
"""
