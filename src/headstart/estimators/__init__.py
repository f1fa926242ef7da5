"""scikit-learn estimators: they translate between scikit-learn's interface and ``workflow``."""
