"""Adapters that let other people's frameworks ask ragward. Each module needs its extra, and is imported by its own name."""
