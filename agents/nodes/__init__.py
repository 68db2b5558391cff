"""Policies of bodies, which have an action for each node (`encoders.nodes`).

gaussian.py      the Gaussian of actions of which only some are somebody's, in SB3's form
actor_critic.py  the heads of PPO and A2C
"""
