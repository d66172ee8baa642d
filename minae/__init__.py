"""minae: autoencoders without automatic differentiation, to read beside the book.

    from minae import UndercompleteAutoencoder, check_gradient, data

    digits = data.mnist()
    model = UndercompleteAutoencoder((784, 256, 30), activation="relu", code="identity")   # backend="cupy": on the GPU
    model.fit(digits.train, epochs=10)
    r = model.reconstruct(digits.test)
    print(check_gradient(model, digits.test[:8]))

Symbols: minae/NOTATION.md. Numba, Matplotlib, CuPy and SciPy load when they are first used.
"""
