"""What runs in the parser process: one module per format. Nothing here is imported by the process that holds keys."""
