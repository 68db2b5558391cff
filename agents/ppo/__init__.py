"""SB3's PPO with faster collection and updates.

    algorithm.py      FastPPO: options, `auto` rules, epochs over minibatches, logs
    collect.py        fills the rollout: policy and environments in turn, or overlapped
    rollout.py        the rollout as tensors, its minibatches, its distinct observations
    update.py         one minibatch step: network -> loss -> gradient -> Adam; uses the three files below
    loss.py           PPO's loss
    flat_adam.py      Adam and gradient clipping on one flat vector
    distributions.py  sampling and log-probabilities of actions
    compiled.py       the same step, and acting, as compiled graphs

FastPPO.learn -> collect_rollouts (collect.py) -> Rollout.add; then train -> Rollout.minibatches -> Update(minibatch).
"""
