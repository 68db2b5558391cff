"""Policies as files: parameters in safetensors, everything else in YAML; loading one executes nothing.

policy.py         save_policy, load_policy, and the loaded Policy
acting.py         the same policy, acting faster while its parameters stay as they are
hub.py            policies in repositories of the Hugging Face Hub
initial.py        a model that starts from the parameters of a policy
specification.py  policy.yaml: what it says, and how a model is described by it
schema.py         what policy.yaml may say, checked before anything is built
spaces.py         Gymnasium spaces as plain data
tensors.py        policy.safetensors: its head, and its tensors once the head is known to fit
budget.py         a limit on the memory of a network that is built from a description
training.py       a model in training as plain data, for snapshots
"""
