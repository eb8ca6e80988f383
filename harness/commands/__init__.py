"""The commands other than pytest: `python -m harness NAME`, or `make NAME`. Each is a module here."""
