"""15.1 Greedy Layer-Wise Unsupervised Pretraining, exercise 2: is the gain due to the lowest layer alone?

We fine-tune three networks of three layers on 100 labels. They differ in how many of their layers, from the lowest up,
come from the pretrained stack: none, one, or all three. The others begin with random weights in the range of a sigmoid.
A single comparison on 100 labels is noisy, so all three share their seeds and the labels, and we take several seeds.
"""

# %%
from minae.chapters import Section
from minae.chapters.ch15 import stacks

section = Section("15.1", exercise=2)
digits = stacks.split(section.size == "full")
sizes, labels = (784, 100, 100, 100), 100
device = dict(backend=section.backend)
seeds = range(section.seed, section.seed + section.pick(2, 4, 6))

# %%
errors = {0: [], 1: [], 3: []}  # pretrained layers -> test errors
for seed in seeds:
    stack = stacks.greedy("sparse", sizes, digits.X, 10, seed, **device)
    for layers, found in errors.items():
        model = stacks.build("random weights", sizes, seed, **device)
        for k in range(1, layers + 1):
            for name in (f"W{k}", f"b{k}"):
                model.parameters[name][...] = stack.parameters[name]
        epochs = stacks.epochs_for(labels, section.pick(300, 600, 600))
        stacks.fine_tune(model, digits.X[:labels], digits.y[:labels], 0.3, epochs, seed)
        found.append(stacks.error(model, digits.X_test, digits.y_test))
mean = {
    k: section.number("test error %, 100 labels", values, of=f"{k} of 3 layers pretrained")
    for k, values in errors.items()
}
section.number("share of the gain that the lowest layer brings", (mean[0] - mean[1]) / (mean[0] - mean[3]))
section.claim("the lowest layer alone brings a gain: points", mean[0] - mean[1], ">", 0)
section.claim("so does the whole stack: points", mean[0] - mean[3], ">", 0)

section.finish()
