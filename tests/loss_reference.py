#!/usr/bin/python3
"""Compares the LEENet loss and gradient with PyTorch's autograd.

loss_reference.py FILE: raw doubles, case after case: rows, exits, alpha, loss,
cost [exits+1], z [rows][exits], price [rows][exits+1], dz [rows][exits].
Exit status 0: equal to 1e-5 relative; 1: not; 77: torch is missing."""
import array
import sys

try:
    import torch
except ImportError:
    sys.exit(77)


def loss_of(z, price, cost, alpha):
    """mean sum_i p_i ((1 - alpha) price_i + alpha cost_i), p_i = g_i prod_{j<i} (1 - g_j), g_E = 1, from
    sums of log g and log (1 - g)."""
    log_leave = torch.nn.functional.logsigmoid(z)
    log_stay = torch.nn.functional.logsigmoid(-z)
    reach = torch.cumsum(torch.nn.functional.pad(log_stay, (1, 0)), 1)
    p = torch.exp(reach + torch.nn.functional.pad(log_leave, (0, 1)))
    return (p * ((1 - alpha) * price + alpha * cost)).sum(1).mean()


def main():
    numbers = array.array("d")
    with open(sys.argv[1], "rb") as f:
        numbers.frombytes(f.read())
    numbers, at, cases = torch.tensor(list(numbers), dtype=torch.float64), 0, 0

    def take(*shape):
        nonlocal at
        count = int(torch.tensor(shape).prod())
        at += count
        return numbers[at - count:at].reshape(shape).clone()

    while at < len(numbers):
        rows, exits, alpha, loss = take(4).tolist()
        rows, exits = int(rows), int(exits)
        cost, z = take(exits + 1), take(rows, exits).requires_grad_()
        price, dz = take(rows, exits + 1), take(rows, exits)
        expected = loss_of(z, price, cost, alpha)
        expected.backward()
        if abs(loss - expected.item()) > 1e-5 * expected.item():
            sys.exit(f"loss {loss}, autograd {expected.item()}")
        # Autograd's own terms cancel to about 1e-16 of the largest.
        wrong = (dz - z.grad).abs() > 1e-5 * z.grad.abs() + 1e-15
        if wrong.any():
            i = wrong.nonzero()[0].tolist()
            sys.exit(f"gradient {dz[tuple(i)].item()} at {i}, autograd {z.grad[tuple(i)].item()}")
        cases += 1
    if cases == 0:
        sys.exit("no case in the file")


main()
