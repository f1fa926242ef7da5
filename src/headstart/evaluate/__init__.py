"""Judging: paired comparison, the verdict, calibration and diagnosis."""
