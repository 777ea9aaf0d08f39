"""The documentation as a site: ``python -m website [FOLDER]`` in a clone writes it to FOLDER (default: site)."""
