"""The commands besides pytest: `python -m harness NAME`, or `make NAME`, each a module of that name."""
