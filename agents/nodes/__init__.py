"""Policies of bodies, which have an action for each node (`encoders.nodes`).

gaussian.py      the Gaussian of actions of which only some are somebody's, in SB3's form, and the squashed one
actor_critic.py  the heads of PPO and A2C
actors.py        the actors of SAC and TD3; their critics are `encoders.heads.NodeCritic`
sac.py           SB3's SAC, which wants as much entropy as nodes act
"""
