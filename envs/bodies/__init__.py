"""Bodies: one environment for many MuJoCo morphologies, each shown as a graph of its joints.

    families/       bodies generated from short descriptions: `Centipede-6`, with its rewards and ends
    task.py         what a family is: an XML, a reward, an end
    graph.py        a MuJoCo model as a graph: a node for the root and one for each joint
    features.py     the numbers that a node shows
    environment.py  one body, or several in turn, as a Gymnasium environment
    batch.py        many bodies stepped at once
    picture.py      where the nodes of a body are drawn

Sources: Wang et al. 2018 (NerveNet), Huang et al. 2020 (shared modular policies), Kurin et al. 2020 (Amorpheus).
"""

import os
from ctypes.util import find_library

# Without a screen MuJoCo draws through EGL, where there is one, if it is told so before it is imported.
if not os.environ.get("DISPLAY") and find_library("EGL"):
    os.environ.setdefault("MUJOCO_GL", "egl")
