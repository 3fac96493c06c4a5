"""What fits on smaller images are worth to networks of ImageNet's kind: `python -m benchmarks.image_sizes`."""
