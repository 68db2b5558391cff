"""Small trained policies, each in a folder with its card. benchmarks/zoo.py makes them from shelf.yaml.

Nothing here imports torch, so that the table of the policies is quick to have.
"""
