"""Bodies: one environment for many MuJoCo morphologies, each shown as a graph of its joints.

    families/       bodies generated from short descriptions: `Centipede-6`, with its rewards and ends
    task.py         what a family is: an XML, a reward, an end
    graph.py        a MuJoCo model as a graph: a node for the root and one for each joint
    features.py     the numbers that a node shows
    environment.py  one body, or several in turn, as a Gymnasium environment
    batch.py        many bodies stepped at once

Sources: Wang et al. 2018 (NerveNet), Huang et al. 2020 (shared modular policies), Kurin et al. 2020 (Amorpheus).
"""
