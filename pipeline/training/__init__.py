"""The only training loop: stacks of networks, their masks, batches and records."""
