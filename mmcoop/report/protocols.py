"""Protocols: on which images the model of a result was selected."""
VAL_FREE, VAL_UNKNOWN = 'val-free', 'val-unknown'
PROTOCOLS = {
    VAL_FREE: 'nothing is selected on images outside the training draw',
    'val-4': 'selected on min(shots, 4) validation images a class',
    'full-val': 'selected on a whole validation set',
    VAL_UNKNOWN: 'selected on validation images; how many is not recorded',
}
VAL_DRAWS = ('val draw', 'training images not drawn')  # of 4 images a class


def protocol_of(result: dict) -> str:
    """On what the model of a result was selected, a key of PROTOCOLS.

    Results of earlier versions say what was selected on, but name no
    protocol.
    """
    if result.get('protocol'):
        return result['protocol']
    text = result.get('selected_on')
    if not text:
        return VAL_FREE
    return 'val-4' if text.startswith(VAL_DRAWS) else VAL_UNKNOWN
