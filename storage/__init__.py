"""Files and folders that survive their writer, and files from outside that are read with limits.

durable.py   files and folders that are written whole or not at all
manifest.py  the size and checksum of every file in a folder
reading.py   regular files up to a limit, compared with their folder's manifest
plain.py     YAML and JSON of bounded size and depth
schema.py    types and ranges of plain data
trees.py     nested data with arrays
lock.py      a folder that one process holds
"""
