"""`minae bench`: the same model, batches, optimizer and dtype in minae and in PyTorch, and the floor beside both.

    workloads   what is trained: minae's model, and the same mathematics as PyTorch is given it
    kinds       the kinds of workloads: a training step, a pretraining, an inference, a search
    contestant  one side of a workload, and the place where it runs
    torch_side  PyTorch's network and step: eager, compiled, and on a GPU as a CUDA graph
    measure     one contestant in a process of its own: time, first step, costs, memory
    run         interleaved rounds of all contestants, and what follows from them
    report      tables, the bars that the project sets itself, a picture

The contestants take turns in every round, each in a process of its own and with the same number of threads, and ratios
are taken within a round, so that a slow phase of the machine hits both sides. The costs of the first steps must agree
to a relative 1e-4. PyTorch is optional (the extra `bench`): without it, its columns say so and the rest runs.
"""
