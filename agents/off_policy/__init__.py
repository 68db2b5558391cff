"""What the fast forms of SB3's off-policy algorithms share (agents/dqn, agents/continuous).

    algorithm.py   OffPolicy: options, `auto` rule, minibatch after minibatch
    replay.py      minibatches from SB3's replay buffers
    networks.py    networks on one flat vector: those that learn by Adam, targets that follow
    traced.py      the same networks inside a compiled graph

Adam and the compiler are shared with agents/ppo/ (flat_adam.py, compiled.py).
"""
