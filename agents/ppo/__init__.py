"""SB3's PPO with faster collection and updates.

    algorithm.py      FastPPO: its own options
    implementation.py eager or compiled: what all fast forms share, off-policy ones too
    learning.py       what it shares with other on-policy algorithms: options, epochs, logs
    collect.py        fills the rollout: policy and environments in turn, or overlapped
    rollout.py        the rollout as tensors, its minibatches, the table of its distinct observations
    update.py         one step on a minibatch: network -> loss -> gradient -> Adam
    loss.py           PPO's loss
    flat_adam.py      Adam and gradient clipping on one flat vector
    flat_rmsprop.py   RMSprop likewise, for A2C
    distributions.py  sampling and log-probabilities of actions
    compiled.py       acting, and the step on a minibatch, as compiled graphs

Who calls whom, in one update:

    FastPPO.learn
      collect_rollouts          collect.py, for every step of the environments:
        Update.act                the network, then Distribution.sample
        env.step
        Rollout.add
        Rollout.finish            after the last step: advantages and returns
      train                     learning.py, for every epoch:
        Rollout.minibatches
          Update(minibatch)       the network, Loss, gradients, FlatAdam.step

`CompiledUpdate` takes the place of `Update`. Nothing here knows of symmetries: augmentation passes its own subclass of
`Rollout` as `rollout_buffer_class` (agents/equivariance/augment.py).
"""
