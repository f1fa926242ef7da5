"""What holds a training back from overfitting: penalties that keep the source near, and mixing."""
