"""`minae bench`: the same model, batches, optimizer and dtype in minae and in PyTorch, and the floor beside both.

    workloads  what is trained: minae's model, and the same mathematics as PyTorch is given it
    kinds      what they are: a training step, a pretraining, an inference, a search
    rivals     PyTorch's network and step: eager, compiled, and on a GPU as a CUDA graph
    measure    one contestant in a process of its own: time, first step, losses, memory
    run        the contestants in turns, the rounds that other processes disturbed, the curves
    report     tables, the bars that are to be met, a picture

The contestants take turns in every round, each in a process of its own and with the same number of threads, and ratios
are taken within a round, so that a slow phase of the machine hits both sides. The costs of the first steps must agree
to a relative 1e-4. PyTorch is optional (the extra `bench`): without it, its columns say so and the rest runs.
"""
