"""What the lesson runs on: devices, progress, checkpoints, signals, processes."""
