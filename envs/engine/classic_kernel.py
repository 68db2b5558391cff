"""Gymnasium's classic control, compiled: each `step` for many environments, and what Gymnasium's wrappers add to it.

A state is an array (variables, n). An environment's constants are the fields of `law[0]`, named as in Gymnasium. Every
operation is in Gymnasium's order, so that results are equal bit for bit. Python's `x**2` calls the C library's pow,
which differs from x * x in one case in a thousand; `x**env.two` calls it too, because the compiler does not know the
exponent. Gymnasium's `math.cos` is `math.cos` here. Its `np.cos` and `np.sin` are computed by NumPy and passed in,
because NumPy's results may differ from the C library's.
"""

from __future__ import annotations

import math

import numpy as np

from envs.engine.kernel import LAST, NOW, RESULT, njit

EPISODE = np.dtype(
    [
        *((name, RESULT[name]) for name in RESULT.names or ()),
        ("steps", np.int64),  # so far
        ("total", np.float64),  # of the rewards so far
        ("used", np.int64),  # how many of its starts have been used
        ("ended", np.int64),  # record k: the k-th environment whose episode ended in this step
    ],
    align=True,
)


@njit
def are_actions(actions, count):
    """Whether all of these are integers from 0 to count - 1."""
    strange = 0
    for action in actions:
        strange += action < 0 or action >= count
    return strange == 0


@njit
def begin(i, episodes, state, seen, starts, first_seen):
    """`reset`: environment i begins at the next of its starts."""
    episode = episodes[i]
    for j in range(state.shape[0]):
        state[j, i] = starts[i, episode.used, j]
    for j in range(seen.shape[2]):
        seen[NOW, i, j] = first_seen[i, episode.used, j]
    episode.used += 1
    episode.steps = 0
    episode.total = 0.0


@njit
def begin_all(episodes, state, seen, starts, first_seen):
    for i in range(len(episodes)):
        begin(i, episodes, state, seen, starts, first_seen)


@njit
def finish(limit, view, episodes, state, seen, starts, first_seen):
    """After a step: observations, `TimeLimit`, `Monitor` and the next episodes -> how many ended (`ended` says which).

    view: observations in float64, (variables, n); seen: observations NOW and LAST, (2, n, variables).
    """
    ended = 0
    for i in range(len(episodes)):
        episode = episodes[i]
        episode.steps += 1
        episode.total += episode.reward
        episode.truncated = episode.steps >= limit
        episode.done = episode.terminated or episode.truncated
        when = LAST if episode.done else NOW
        for j in range(seen.shape[2]):
            seen[when, i, j] = view[j, i]
        if episode.done:
            episode.episode_return = episode.total
            episode.episode_length = episode.steps
            begin(i, episodes, state, seen, starts, first_seen)
            episodes[ended].ended = i
            ended += 1
    return ended


@njit
def step_cartpole(actions, cosines, sines, law, state, episodes):
    """`CartPoleEnv.step`, given cosines and sines of the pole's angle.

    -> False, with nothing changed, if an action is outside the action space.
    """
    env = law[0]
    if not are_actions(actions, 2):
        return False
    for i in range(len(actions)):
        x, x_dot, theta, theta_dot = state[0, i], state[1, i], state[2, i], state[3, i]
        force = env.force_mag if actions[i] == 1 else -env.force_mag
        cos, sin = cosines[i], sines[i]
        temp = (force + env.polemass_length * (theta_dot * theta_dot) * sin) / env.total_mass
        thetaacc = (env.gravity * sin - cos * temp) / (
            env.length * (4.0 / 3.0 - env.masspole * (cos * cos) / env.total_mass)
        )
        xacc = temp - env.polemass_length * thetaacc * cos / env.total_mass
        x = x + env.tau * x_dot
        x_dot = x_dot + env.tau * xacc
        theta = theta + env.tau * theta_dot
        theta_dot = theta_dot + env.tau * thetaacc
        state[0, i], state[1, i], state[2, i], state[3, i] = x, x_dot, theta, theta_dot
        fallen = theta < -env.theta_threshold_radians or theta > env.theta_threshold_radians
        episodes[i].terminated = fallen or x < -env.x_threshold or x > env.x_threshold
        if env._sutton_barto_reward:
            episodes[i].reward = -1.0 if episodes[i].terminated else 0.0
        else:
            episodes[i].reward = 1.0
    return True


@njit
def angles_of_acrobot(at, angles):
    """The angles of which `AcrobotEnv._dsdt` takes the cosines."""
    for i in range(at.shape[1]):
        theta1, theta2 = at[0, i], at[1, i]
        angles[0, i], angles[1, i], angles[2, i] = theta2, theta1 + theta2 - np.pi / 2.0, theta1 - np.pi / 2


@njit
def step_acrobot(stage, torques, cosines, sines, law, state, at, slopes):
    """One stage of `rk4`: its slope, and the point `at` of the next stage; after stage 3, the new state.

    cosines: of the three angles above, (3, n); sines: of the first, (n,); at: (4, n); slopes: of each stage, (4, 4, n).
    """
    env = law[0]
    two, g, dt = env.two, 9.8, env.dt
    m1, m2, l1 = env.LINK_MASS_1, env.LINK_MASS_2, env.LINK_LENGTH_1
    lc1, lc2, moi = env.LINK_COM_POS_1, env.LINK_COM_POS_2, env.LINK_MOI
    k1, k2, k3, k4 = slopes[0], slopes[1], slopes[2], slopes[3]
    for i in range(len(torques)):
        a, cos, sin = torques[i], cosines[0, i], sines[i]
        dtheta1, dtheta2 = at[2, i], at[3, i]
        d1 = m1 * lc1**two + m2 * (l1**two + lc2**two + 2 * l1 * lc2 * cos) + moi + moi
        d2 = m2 * (lc2**two + l1 * lc2 * cos) + moi
        phi2 = m2 * lc2 * g * cosines[1, i]
        phi1 = (
            -m2 * l1 * lc2 * dtheta2**two * sin
            - 2 * m2 * l1 * lc2 * dtheta2 * dtheta1 * sin
            + (m1 * lc1 + m2 * l1) * g * cosines[2, i]
            + phi2
        )
        ddtheta2 = (a + d2 / d1 * phi1 - m2 * l1 * lc2 * dtheta1**two * sin - phi2) / (
            m2 * lc2**two + moi - d2**two / d1
        )
        ddtheta1 = -(d2 * ddtheta2 + phi1) / d1
        slope = slopes[stage]
        slope[0, i], slope[1, i], slope[2, i], slope[3, i] = dtheta1, dtheta2, ddtheta1, ddtheta2
        if stage < 3:
            ahead = dt if stage == 2 else dt / 2.0
            for j in range(4):
                at[j, i] = state[j, i] + ahead * slope[j, i]
        else:
            for j in range(4):
                state[j, i] += dt / 6.0 * (k1[j, i] + 2 * k2[j, i] + 2 * k3[j, i] + k4[j, i])
            state[0, i], state[1, i] = wrap(state[0, i]), wrap(state[1, i])
            state[2, i] = clip(state[2, i], -env.MAX_VEL_1, env.MAX_VEL_1)
            state[3, i] = clip(state[3, i], -env.MAX_VEL_2, env.MAX_VEL_2)


@njit
def end_acrobot(cosines, cosines_of_sum, episodes):
    """`AcrobotEnv._terminal`, given the cosines of θ₁ and of θ₁ + θ₂."""
    for i in range(len(episodes)):
        episodes[i].terminated = -cosines[i] - cosines_of_sum[i] > 1.0
        episodes[i].reward = 0.0 if episodes[i].terminated else -1.0


@njit
def step_pendulum(torques, sines, law, state, episodes):
    """`PendulumEnv.step`, which uses single precision for terms that depend only on a torque in single precision."""
    env = law[0]
    single = torques.itemsize == 4
    two, g, m, length, dt = env.two, env.g, env.m, env.l, env.dt
    for i in range(len(torques)):
        th, thdot = state[0, i], state[1, i]
        u = clip(np.float64(torques[i]), -env.max_torque, env.max_torque)
        if single:
            effort = np.float64(np.float32(0.001) * np.float32(u) ** np.float32(two))
            push = np.float64(np.float32(3.0 / (m * length**two)) * np.float32(u))
        else:
            effort = 0.001 * u**two
            push = 3.0 / (m * length**two) * u
        angle = ((th + np.pi) % (2 * np.pi)) - np.pi
        episodes[i].reward = -(angle**two + 0.1 * thdot**two + effort)
        thdot = clip(thdot + (3 * g / (2 * length) * sines[i] + push) * dt, -env.max_speed, env.max_speed)
        state[0, i], state[1, i] = th + thdot * dt, thdot


@njit
def step_mountain_car(actions, law, state, episodes):
    """`MountainCarEnv.step` -> False, with nothing changed, if an action is outside the action space."""
    env = law[0]
    if not are_actions(actions, 3):
        return False
    for i in range(len(actions)):
        position, velocity = state[0, i], state[1, i]
        velocity += (actions[i] - 1) * env.force + math.cos(3 * position) * (-env.gravity)
        velocity = clip(velocity, -env.max_speed, env.max_speed)
        position = clip(position + velocity, env.min_position, env.max_position)
        if position == env.min_position and velocity < 0:
            velocity = 0.0
        state[0, i], state[1, i] = position, velocity
        episodes[i].terminated = position >= env.goal_position and velocity >= env.goal_velocity
        episodes[i].reward = -1.0
    return True


@njit
def step_continuous_mountain_car(forces, law, state, episodes):
    """`Continuous_MountainCarEnv.step`, whose state is in single precision except in the first step of an episode.

    A NumPy float32 stays single when combined with a Python number, and becomes double with a NumPy float64.
    """
    env = law[0]
    single = forces.itemsize == 4
    for i in range(len(forces)):
        first = episodes[i].steps == 0
        position, velocity, given = state[0, i], state[1, i], np.float64(forces[i])
        force = clip(given, env.min_action, env.max_action)
        clipped = force != given  # then Gymnasium's force is a Python number
        slope = 0.0025 * math.cos(3 * position if first else np.float64(np.float32(3 * position)))
        if single and not clipped:
            push = np.float64(np.float32(force) * np.float32(env.power))
            push = np.float64(np.float32(push) - np.float32(slope))
        else:
            push = force * env.power - slope
        narrow = not first and (single or clipped)
        velocity = rounded(velocity + rounded(push, narrow), narrow)
        speed = rounded(env.max_speed, narrow)
        velocity = clip(velocity, -speed, speed)
        position = rounded(position + velocity, narrow)
        position = clip(position, rounded(env.min_position, narrow), rounded(env.max_position, narrow))
        if position == rounded(env.min_position, narrow) and velocity < 0:
            velocity = 0.0
        terminated = position >= rounded(env.goal_position, narrow) and velocity >= rounded(env.goal_velocity, narrow)
        episodes[i].terminated = terminated
        episodes[i].reward = (100.0 if terminated else 0.0) - given**env.two * 0.1
        state[0, i], state[1, i] = np.float64(np.float32(position)), np.float64(np.float32(velocity))


@njit
def rounded(x, narrow):
    """x rounded to single precision: an operation in double precision, so rounded, equals the one in single."""
    return np.float64(np.float32(x)) if narrow else x


@njit
def clip(x, low, high):
    return low if x < low else high if x > high else x


@njit
def wrap(x):
    while x > np.pi:
        x = x - 2 * np.pi
    while x < -np.pi:
        x = x + 2 * np.pi
    return x
