"""Training: the loop, streams, checkpoints, optimizers and learning-rate schedules.

A tracker of experiments is a callback of `fit`: it reads the last record of the history after each epoch. Callbacks
return nothing, unless they want to end the training. With TensorBoard:

    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter("runs/first")

    def log(model, history):
        last = history[-1]
        for name, value in last["validation"].items():  # J, and each term of the cost
            writer.add_scalar(f"train/{name}", last[name], last["epoch"])
            writer.add_scalar(f"validation/{name}", value, last["epoch"])

    model.fit(X, validation=0.1, epochs=20, callbacks=[log])
    writer.close()

With MLflow, which also keeps the options of the model and its file:

    import mlflow

    def log(model, history):
        costs = history[-1]["validation"]
        mlflow.log_metrics({f"validation_{name}": costs[name] for name in costs}, step=history[-1]["epoch"])

    with mlflow.start_run():
        mlflow.log_params(model.config)
        model.fit(X, validation=0.1, epochs=20, callbacks=[log])
        model.save("model.safetensors")
        mlflow.log_artifact("model.safetensors")

With Optuna, which searches for the best learning rate and ends the trainings that fall behind. The callback returns
True to end the training:

    import optuna

    from minae.training import Adam

    def objective(trial):
        def prune(model, history):
            trial.report(history[-1]["validation"]["J"], step=history[-1]["epoch"])
            return trial.should_prune()

        adam = Adam(trial.suggest_float("lr", 1e-4, 1e-1, log=True))
        model = minae.UndercompleteAutoencoder((X.shape[1], 8))
        history = model.fit(X, validation=0.1, epochs=20, optimizer=adam, callbacks=[prune])
        if trial.should_prune():
            raise optuna.TrialPruned()
        return history[-1]["validation"]["J"]

    study = optuna.create_study(direction="minimize", pruner=optuna.pruners.MedianPruner(n_startup_trials=3))
    study.optimize(objective, n_trials=10)
"""

from minae.training.loop import History, fit
from minae.training.optimizers import LBFGS, OPTIMIZERS, SGD, Adam, AdamW, Momentum, Nesterov, Optimizer, clipped
from minae.training.schedules import Constant, Cosine, StepDecay, WarmUp
from minae.training.stream import fit_stream

__all__ = ["LBFGS", "OPTIMIZERS", "SGD", "Adam", "AdamW", "Constant", "Cosine", "History", "Momentum", "Nesterov",
           "Optimizer", "StepDecay", "WarmUp", "clipped", "fit", "fit_stream"]  # fmt: skip
