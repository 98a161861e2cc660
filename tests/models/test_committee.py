from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from osler.models.committee import Committee, Shape, _Reading, gru

LENGTHS = (5, 3, 3, 1)
SIZES = tuple(sum(length > t for length in LENGTHS) for t in range(5))
SHAPE = Shape(3, 4, 6, 5, 7, 2, 4, 2, 5)


def _networks(members: int, inputs: int, units: int, dtype: torch.dtype):
    generator = torch.Generator().manual_seed(1)
    networks = []
    for _ in range(members):
        with torch.random.fork_rng(devices=[]):
            network = torch.nn.GRU(inputs, units, batch_first=True, dtype=dtype)
        for parameter in network.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=dtype) * 0.4
        networks.append(network)
    stacked = [
        torch.stack([take(network) for network in networks]).detach().requires_grad_()
        for take in (
            lambda n: n.weight_ih_l0.T,
            lambda n: n.weight_hh_l0.T,
            lambda n: n.bias_ih_l0[None],
            lambda n: n.bias_hh_l0[None],
        )
    ]
    initial = torch.randn(members, 1, units, generator=generator, dtype=dtype).requires_grad_()
    visits = torch.randn(members, sum(SIZES), inputs, generator=generator, dtype=dtype).requires_grad_()
    return networks, stacked, initial, visits


def _of_patient(packed: torch.Tensor, patient: int) -> torch.Tensor:
    starts = np.concatenate([[0], np.cumsum(SIZES)])
    return torch.stack([packed[int(starts[t]) + patient] for t in range(LENGTHS[patient])])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_states_equal_those_of_torch(dtype, tolerance):
    networks, (wi, wh, bi, bh), initial, visits = _networks(3, 4, 6, dtype)
    states = gru(visits, SIZES, initial, wi, wh, bi, bh)[:, 1:]
    for e, network in enumerate(networks):
        for patient in range(len(LENGTHS)):
            expected = network(_of_patient(visits[e], patient)[None], initial[e][None])[0][0]
            got = _of_patient(states[e], patient)
            np.testing.assert_allclose(got.detach(), expected.detach(), rtol=0, atol=tolerance)


def test_gradients_equal_those_of_torch():
    networks, (wi, wh, bi, bh), initial, visits = _networks(2, 3, 4, torch.float64)
    weight = torch.randn(2, sum(SIZES), 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (gru(visits, SIZES, initial, wi, wh, bi, bh)[:, 1:] * weight).sum().backward()
    start = initial.detach().clone().requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for e, network in enumerate(networks):
        for patient in range(len(LENGTHS)):
            out = network(_of_patient(visits[e], patient)[None].detach(), start[e][None])[0][0]
            total = total + (out * _of_patient(weight[e], patient)).sum()
    total.backward()
    for e, network in enumerate(networks):
        np.testing.assert_allclose(wi.grad[e], network.weight_ih_l0.grad.T, atol=1e-12)
        np.testing.assert_allclose(wh.grad[e], network.weight_hh_l0.grad.T, atol=1e-12)
        np.testing.assert_allclose(bi.grad[e, 0], network.bias_ih_l0.grad, atol=1e-12)
        np.testing.assert_allclose(bh.grad[e, 0], network.bias_hh_l0.grad, atol=1e-12)
    np.testing.assert_allclose(initial.grad, start.grad, atol=1e-12)


def test_gradients_equal_finite_differences():
    _, weights, initial, visits = _networks(2, 2, 3, torch.float64)
    assert torch.autograd.gradcheck(lambda x, h, *w: gru(x, SIZES, h, *w), (visits, initial, *weights))


@pytest.mark.parametrize("dropped", [False, True])
def test_the_reading_of_states_has_the_gradient_of_autograd(dropped):
    generator = torch.Generator().manual_seed(4)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_()

    free = normal(2, 4, 3), normal(2, 3, 5), normal(2, 6, 5), normal(2, 1, 5), normal(2, 5, 2)
    which, inputs = torch.tensor([0, 3, 3, 1, 0, 2, 3]), normal(7, 6).detach()
    keep = (torch.rand(2, 7, 5, generator=generator) < 0.6) / 0.6 if dropped else None

    def by_hand(states, by_state, by_input, bias, output):
        return _Reading.apply(states, which, inputs, by_state, by_input, bias, keep, output)

    def plainly(states, by_state, by_input, bias, output):
        hidden = torch.tanh(states[:, which] @ by_state + inputs @ by_input + bias)
        return ((hidden if keep is None else hidden * keep) @ output).transpose(1, 2)

    np.testing.assert_allclose(by_hand(*free).detach(), plainly(*free).detach(), atol=1e-14)
    weight = normal(2, 2, 7).detach()
    one, other = (torch.autograd.grad((f(*free) * weight).sum(), free) for f in (by_hand, plainly))
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-13)


def _committee() -> Committee:
    committee = Committee.create(SHAPE, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(5)
    tensors = {k: v + 0.3 * torch.randn(v.shape, generator=generator) for k, v in committee.tensors.items()}
    return replace(committee, tensors=tensors)


def _inputs():
    generator = torch.Generator().manual_seed(3)
    visits = torch.randn(sum(SIZES), SHAPE.visit_inputs, generator=generator)
    rows = torch.randn(6, SHAPE.row_inputs, generator=generator)
    return visits, rows, torch.tensor([-1, 0, 3, 7, 11, 2])


def test_an_untrained_committee_corrects_nothing():
    committee = Committee.create(SHAPE, torch.Generator().manual_seed(0))
    visits, rows, last = _inputs()
    states = committee.states(visits, SIZES)
    for output in (*committee.head(states, last, rows), *committee.ahead(states, last, torch.zeros(6, 5))):
        assert (output == 0).all()


def test_members_do_not_touch_each_other():
    committee = _committee()
    visits, rows, last = _inputs()
    learning = committee.of_members(torch.arange(3), learning=True)
    level, slope = learning.head(learning.states(visits, SIZES), last, rows)
    (level[1].sum() + slope[1].sum()).backward()
    for name, tensor in learning.tensors.items():
        if tensor.grad is not None:
            assert (tensor.grad[[0, 2]] == 0).all(), name
    alone = committee.of_members(torch.tensor([1]))
    again, _ = alone.head(alone.states(visits, SIZES), last, rows)
    np.testing.assert_allclose(again[0], level[1].detach(), atol=1e-6)


def test_the_state_before_the_first_visit_is_the_learned_one():
    committee = _committee()
    visits, rows, _ = _inputs()
    none = torch.full((6,), -1)
    level, _ = committee.head(committee.states(visits, SIZES), none, rows)
    without, _ = committee.head(committee.states(visits[:0], ()), none, rows)
    np.testing.assert_allclose(level, without, atol=1e-6)


def test_later_visits_change_no_earlier_state():
    committee = _committee()
    visits, _, _ = _inputs()
    changed = visits.clone()
    changed[SIZES[0] :] += 1.0
    before, after = committee.states(visits, SIZES), committee.states(changed, SIZES)
    assert torch.equal(before[:, : 1 + SIZES[0]], after[:, : 1 + SIZES[0]])
    assert not torch.equal(before, after)


def test_dropped_inputs_are_replaced_by_the_absent_pattern():
    committee = _committee()
    visits, rows, last = _inputs()
    states = committee.states(visits, SIZES)
    absent = torch.linspace(-1, 1, SHAPE.row_inputs)
    keep = torch.ones(3, SHAPE.row_inputs, 1)
    keep[:, 2:4] = 0
    stand_in = ((1 - keep[:, :, 0]) * absent).unsqueeze(1)
    got, _ = committee.head(states, last, rows, keep_rows=keep, absent=stand_in)
    replaced = rows.clone()
    replaced[:, 2:4] = absent[2:4]
    expected, _ = committee.head(states, last, replaced)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_state_round_trip():
    committee = _committee()
    again = Committee.from_state(committee.state())
    assert again.shape == committee.shape
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in committee.tensors.items())
