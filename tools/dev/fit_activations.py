#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fits the polynomials of ops/kernels/exp-inl.h and prints their coefficients.

Each is the minimax polynomial of relative error (Lawson's iteration on a dense
grid in float64), rounded to float32 from the lowest degree up, refitting the
higher ones after each rounding. Needs numpy only.
"""
import math

import numpy as np


def lawson(x, y, weight, powers):
    """Coefficients c so that max |sum c_i x^powers_i - y| * weight is least."""
    basis = np.stack([x**p for p in powers], 1) * weight[:, None]
    target = y * weight
    w = np.ones_like(x)
    for _ in range(400):
        root = np.sqrt(w)
        c = np.linalg.lstsq(basis * root[:, None], target * root, rcond=None)[0]
        error = np.abs(basis @ c - target)
        w = w * error
        w = w / w.max() + 1e-12
    return c, error.max()


def fit(name, x, y, weight, powers):
    left, coefficients, rest = list(powers), [], y.copy()
    while left:
        c, error = lawson(x, rest, weight, left)
        first = np.float32(c[0])
        coefficients.append(first)
        rest = rest - float(first) * x ** left[0]
        left.pop(0)
    final = np.abs(rest * weight).max()
    print(f"{name}: error {final:.3g} = {final / 2**-24:.3f} half ulp")
    for p, c in zip(powers, coefficients):
        print(f"  x^{p}: {float(c).hex()}f  {c!r}")


def grid(a, b, n=4001):
    return (a + b) / 2 + (b - a) / 2 * np.cos(np.linspace(np.pi, 0, n))


# exp(r) - 1 - r = r^2 * P(r), relative to exp(r).
r = grid(-0.3467, 0.3467, 4000)
fit("exp", r, (np.expm1(r) - r) / r**2, r**2 / np.exp(r), range(5))

# tanh(x) = x + x * s * P(s), s = x^2, |x| < 0.625, relative to tanh.
x = grid(1e-3, 0.63)
fit("tanh", x * x, (np.tanh(x) / x - 1) / x**2, x**3 / np.tanh(x), range(6))

# erf(x) = x + x * P(s), s = x^2, |x| < 1.
x = grid(1e-4, 1.0)
erf = np.array([math.erf(v) for v in x])
fit("erf", x * x, erf / x - 1, x / erf, range(8))

# erfc(x) = exp(-x^2) * Q(t), t = 1 / (1 + 0.5 x), 1 <= x < 10; relative to erfc
# below 4 and, as erf is then 1 - 1e-8, no matter how beyond.
x = grid(1.0, 4.2)
erfc = np.array([math.erfc(v) for v in x])
t = 1 / (1 + 0.5 * x)
q = erfc * np.exp(x * x)
fit("erfc", t, q, 1 / q, range(9))
