"""What is measured: `python -m benchmarks [NAME …]`. Ratios, taken side by side in one run."""
