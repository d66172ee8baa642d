"""Ω: what is added to the reconstruction error.     J = L(x, g(f(x))) + λ Ω     (14.2)

A penalty reports Ω without λ; its backward pass adds weight · ∂Ω to the gradients it is given.
"""

from minae.backend import namespace


class WeightDecay:
    """Ω = ½ Σ ‖W‖²_F over the weight matrices, biases left alone.     (7.1)"""

    def __init__(self, parameters):
        self.parameters = parameters
        self.names = [name for name, shape in parameters.shapes.items() if len(shape) > 1]

    def value(self):
        W = [self.parameters[name] for name in self.names]
        return 0.5 * sum(namespace(w).vdot(w, w) for w in W)

    def backward(self, weight):
        """dW += weight · W"""
        for name in self.names:
            W, dW = self.parameters[name], self.parameters.gradient(name).array
            dW += namespace(W).multiply(W, weight, out=self.parameters.arena.empty(*W.shape))
