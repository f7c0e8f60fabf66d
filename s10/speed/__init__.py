"""Faster recipes: their network, their optimizer, their batches, test-time augmentation."""
