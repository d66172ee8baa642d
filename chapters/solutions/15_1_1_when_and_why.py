"""15.1.1 When and Why Does Unsupervised Pretraining Work?, exercise 2: which images does pretraining need?

Two stacks of three layers are pretrained with the same number of steps: one on the 100 images that have labels, one on
100 other images. Neither has more images than the other. So if only "what is learned about the distribution of x"
mattered, both should be worth the same.
"""

# %%
from minae.chapters import Section
from minae.chapters.ch15 import stacks

section = Section("15.1.1", exercise=2)
digits = stacks.split(section.size == "full")
sizes, labels = (784, 100, 100, 100), 100
device = dict(backend=section.backend)
seeds = range(section.seed, section.seed + section.pick(2, 4, 6))
epochs = stacks.epochs_for(labels, section.pick(300, 600, 600))


def fine_tuned(start, seed, stack=None):
    model = stacks.build(start, sizes, seed, stack, **device)
    stacks.fine_tune(model, digits.X[:labels], digits.y[:labels], 0.3, epochs, seed)
    return stacks.error(model, digits.X_test, digits.y_test)


# %%
name = "test error %, 100 labels"
section.number(name, [fine_tuned("random weights", seed) for seed in seeds], of="random weights")
mean = {}
for which, images in (("the labelled images", digits.X[:100]), ("100 other images", digits.X[3000:3100])):
    values = []
    for seed in seeds:
        stack = stacks.greedy("sparse", sizes, images, 400, seed, **device)
        values.append(fine_tuned("pretrained", seed, stack))
    mean[which] = section.number(name, values, of=f"pretrained on {which}")
difference = mean["100 other images"] - mean["the labelled images"]
section.claim("the labelled images pretrain better than 100 other ones: points", difference, ">", 0)

section.finish()
