"""Files and folders that survive their writer, and files from outside that are read with limits.

durable.py   files and folders that are written whole or not at all
manifest.py  the size and checksum of every file in a folder
reading.py   regular files up to a limit, compared with their folder's manifest
lock.py      a folder that one process holds
"""
