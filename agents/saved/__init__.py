"""Policies as files: parameters in safetensors, everything else in YAML; loading one executes nothing.

policy.py         save_policy, load_policy, and the loaded Policy
acting.py         the same policy, acting faster while its parameters stay as they are
specification.py  policy.yaml: what it says, and how a model is described by it
spaces.py         Gymnasium spaces as plain data
"""
