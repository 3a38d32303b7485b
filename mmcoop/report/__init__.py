"""Tables and figures from the result files (JSON) of runs.

The names of the kinds are here, so that a command line can offer them before
anything heavy is imported.
"""
KINDS = ('few-shot', 'context-length', 'backbones', 'domain', 'ensembles',
         'init', 'adaptations', 'base-to-new', 'cross-dataset', 'noise',
         'leaderboard')
