"""Parameter prediction: a hypernetwork reads the computation graph of an encoder and returns its parameters.

    graph.py      the graph of a module, recorded while it computes
    network.py    the graph hypernetwork
    lessons.py    states and an expert's action probabilities, which are imitated
    variants.py   encoders with other options, and policies of them
    train.py      training the hypernetwork, and a policy

Sources: Zhang, Ren and Urtasun 2019 (GHN-1); Knyazev, Drozdzal, Taylor and Romero-Soriano 2021 (GHN-2).
"""
