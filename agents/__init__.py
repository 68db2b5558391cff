"""Agents: an encoder, heads and a Stable-Baselines3 algorithm put together; policies saved as data and loaded again.

make.py              make_agent: options -> an SB3 model
sb3_policies.py      SB3's policies with our heads; recurrent_policy.py, with an LSTM
heads.py             what each policy says of its encoders and heads
features.py          whether an encoder of one's own keeps its promises
ranges.py            the values that hyperparameters may have
optimizers.py        AdamW in place of Adam; frozen encoders
dropout.py           dropout while PPO and A2C collect
diagnostics.py       how far a policy is from a symmetry; attention maps
export.py            policies as TorchScript and ONNX (plain.py: its old name)

ppo/                 PPO with faster collection and updates
a2c/ recurrent/      the same for A2C and recurrent PPO
off_policy/          what the fast forms of the following share
dqn/ continuous/     DQN and QR-DQN; SAC and TD3
equivariance/        the ways to use a symmetry
saved/               policies as files
imported/            policies that Stable-Baselines3 saved
"""

from agents.imported.policy import import_sb3
from agents.make import AGENTS, make_agent
from agents.saved.initial import start_from
from agents.saved.policy import Policy, load_policy, save_policy

__all__ = ["AGENTS", "Policy", "import_sb3", "load_policy", "make_agent", "save_policy", "start_from"]
