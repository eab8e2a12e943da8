"""Neural network potentials: architecture, training, calibration."""
