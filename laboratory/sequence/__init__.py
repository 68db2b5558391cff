"""Networks that read a sequence and answer after it, and how they are trained: Delétang et al. 2023.

    from laboratory.sequence import LONGER, Budget, accuracies, fit
    network = fit("lstm", TASKS["parity_check"], seed=0, budget=Budget(steps=2_000))
    accuracies(network, TASKS["parity_check"], LONGER)

Delétang, Ruoss, Grau-Moya, Genewein, Wenliang, Catt, Cundy, Hutter, Legg, Veness & Ortega, "Neural Networks and the
Chomsky Hierarchy", ICLR 2023.
"""

from laboratory.sequence.attention import Transformer
from laboratory.sequence.fit import LONGER, TRAINED, Budget, accuracies, fit
from laboratory.sequence.networks import ARCHITECTURES, Network, network
from laboratory.sequence.positions import POSITIONS

__all__ = [
    "ARCHITECTURES",
    "LONGER",
    "POSITIONS",
    "TRAINED",
    "Budget",
    "Network",
    "Transformer",
    "accuracies",
    "fit",
    "network",
]
