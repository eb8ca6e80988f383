"""The JSON files of a report folder: the models that their content must fit, reading and writing.

`sealed` reads and writes them, `types` has the types that their fields share, and the other modules
have a class for each kind of file. Files may come from anywhere, have any size, and be damaged.

May import the modules next to this package.
"""
