"""Converting and proving fetched weights: one file for each modality, with ``converted`` and ``outputs``."""
