"""Methods that pretrain the source model further, without a label."""
