"""What is kept of the source model once it was fine-tuned."""
