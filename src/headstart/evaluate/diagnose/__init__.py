"""One file per diagnosis: what may be wrong with a finished training, in plain words."""
