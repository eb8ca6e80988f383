"""What the JSON files of a report folder may hold: one model, which everything that is read meets.

`sealed` reads and writes them; `types` has the types that their fields share; the other modules
have a class for each kind of file. Files may come from anywhere, be of any size, and be damaged.

May import the modules beside this package.
"""
