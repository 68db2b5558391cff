"""What other programs call an option, and what it may be here."""

from __future__ import annotations

ALIASES = {
    **dict.fromkeys(("lr", "learningrate", "alpha", "step_size"), ("agent.learning_rate",)),
    **dict.fromkeys(("steps", "timesteps", "n_timesteps", "total_steps", "num_steps", "frames"), ("total_timesteps",)),
    **dict.fromkeys(("batch", "batchsize", "minibatch", "minibatch_size"), ("agent.batch_size",)),
    **dict.fromkeys(("epochs", "n_epoch", "num_epochs", "update_epochs"), ("agent.n_epochs",)),
    **dict.fromkeys(
        ("hidden", "hidden_size", "hidden_dim", "units", "features_dim"), ("encoder.width", "encoder.channels")
    ),
    **dict.fromkeys(("algo", "algorithm", "alg"), ("agent",)),
    **dict.fromkeys(("environment", "env_id", "env_name", "game", "task"), ("env",)),
    **dict.fromkeys(("net", "network", "arch", "model", "architecture"), ("encoder",)),
    **dict.fromkeys(("num_envs", "envs", "nenvs", "n_env"), ("n_envs",)),
    **dict.fromkeys(("discount",), ("agent.gamma",)),
    **dict.fromkeys(("lambda", "lam"), ("agent.gae_lambda",)),
    **dict.fromkeys(("clip", "clip_coef", "epsilon"), ("agent.clip_range",)),
    **dict.fromkeys(("entropy", "entropy_coef", "ent"), ("agent.ent_coef",)),
    **dict.fromkeys(("rollout", "horizon", "n_step", "rollout_length"), ("agent.n_steps",)),
    **dict.fromkeys(("buffer", "replay_size", "memory_size"), ("agent.buffer_size",)),
    **dict.fromkeys(("random_seed", "rng"), ("seed",)),
    **dict.fromkeys(("n_trials", "num_trials"), ("trials",)),
    **dict.fromkeys(("cuda", "gpu"), ("device",)),
    **dict.fromkeys(("log_dir", "logdir", "out", "output_dir", "save_dir"), ("run_dir", "output")),
    **dict.fromkeys(("model_path", "checkpoint", "load"), ("policy", "initial")),
    **dict.fromkeys(("pretrained", "init", "weights", "init_from"), ("initial", "policy")),
    **dict.fromkeys(("freeze_encoder", "frozen"), ("encoder.freeze",)),
    **dict.fromkeys(("n_episodes", "eval_episodes", "num_episodes"), ("episodes", "evaluation.episodes")),
}
