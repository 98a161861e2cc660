"""Counting: how many of all pairs of patients are in the right order, without visiting the pairs.

Patients are put in the order in which they leave follow-up (``Lineup``); risks give each a rank. Pairs won then are
inversions of one sequence of ranks, counted here in O(n log n) with O(n) memory. Nothing here knows a measure.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Lineup", "Ranked", "ascending", "pairs_won", "weigh_pairs"]

Floats = NDArray[np.float64]
Places = NDArray[np.int32]
Mask = NDArray[np.bool_]
Keys = NDArray[np.uint64]
_ONE, _TOP = np.uint64(1), np.uint64(1 << 63)
_NOBODY = np.zeros(0, dtype=np.bool_)
#: Runs of values that differ in their last bits only are sorted in place up to this length.
_RUN = 64
#: Ranks are sorted by five bits at a time.
_DIGIT = 5
_FAN = 1 << _DIGIT
#: Row d is 1 for the digits below d.
_BELOW = np.tri(_FAN, _FAN, -1)


def ascending(values: Floats, late: Mask = _NOBODY) -> tuple[Places, Mask]:
    """Places of values in rising order; equal ones by ``late`` (False first), then as they stand.

    Args:
        values: (n,) numbers without NaN; n below 2**31.
        late: (n,) or nothing.

    Returns:
        The order (n,), and for each place in it whether value or ``late`` differs from the place before (n,).

    Values become whole numbers in the same order, less what all have in common, with their row in the low bits; sorting
    numbers is quicker than sorting rows. What does not fit (values that agree in the first 40 bits or so) is mended.
    """
    values, packed = np.ascontiguousarray(values, dtype=float), np.empty(len(values), dtype=np.uint64)
    bits, lost = _pack(values, late, packed)
    packed.sort()
    order, new = np.empty(len(values), dtype=np.int32), np.ones(len(values), dtype=np.bool_)
    if not _unpack(packed, bits, lost, values, late, order, new):
        order = np.lexsort((late, values) if len(late) else (values,)).astype(np.int32)
        new[1:] = values[order[1:]] != values[order[:-1]]
        if len(late):
            new[1:] |= late[order[1:]] != late[order[:-1]]
    return order, new


class Lineup:
    """Patients in the order in which they leave follow-up; at equal times those with an event before those without.

    Args:
        time: (n,) days; infinite for patients who outlast everybody.
        event: (n,) whether follow-up ended with an event.

    Attributes:
        rows: (n,) patient at each place.
        moment: (n,) by place: rises where the time changes and from those with an event to those without. A patient
            with an event comes before exactly the places of a higher moment.
        start: (J + 1,) first place of each moment; the last is n.
    """

    def __init__(self, time: Floats, event: Mask) -> None:
        self.rows, new = ascending(time, ~event)
        self.moment = (np.cumsum(new, dtype=np.int32) - np.int32(1)).astype(np.int32)
        self.start = np.append(np.flatnonzero(new), len(time)).astype(np.int32)

    def __len__(self) -> int:
        return len(self.rows)

    def ranked(self, risk: Floats) -> Ranked:
        """The line with the ranks of (n,) risks, given by patient."""
        place, new = ascending(_taken(np.ascontiguousarray(risk, dtype=float), self.rows))
        return Ranked(place, new, _sequence(place, self.moment, self.start))


class Ranked:
    """Ranks of predicted risks along a lineup.

    Attributes:
        place: (n,) place in line of each rank, the lowest risk first; equal risks in order of line.
        new: (n,) by rank, whether the risk is higher than that of the rank before.
        sequence: (n,) ranks along the line; those of one moment in rising order, so that a higher rank never comes
            first where neither patient is the earlier one.
    """

    def __init__(self, place: Places, new: Mask, sequence: Places) -> None:
        self.place, self.new, self.sequence = place, new, sequence


def pairs_won(line: Lineup, ranked: Ranked, case: Mask) -> float:
    """Pairs of a case and a patient later in line with a lower risk; equal risks count a half.

    Args:
        line: n patients.
        ranked: their risks.
        case: (n,) by place, who counts as the first of a pair.
    """
    won = float(_inversions(ranked.sequence, ranked.place, case))
    return won if ranked.new.all() else won + 0.5 * float(_equal_later(ranked.place, ranked.new, line.moment, case))


def weigh_pairs(
    line: Lineup, ranked: Ranked, weight: Floats, square: Floats, *, rivals: bool
) -> tuple[Floats, Floats, Floats]:
    """What every patient wins in pairs, as the case and as the other; equal risks count a half.

    A case is compared with those later in line, and with rivals (competing events) of its moment or before; it wins
    against lower risks.

    Args:
        line: n patients.
        ranked: their risks.
        weight: (n,) by place: above 0 for cases, below 0 (the weight, negative) for rivals, 0 for the rest.
        square: (n,) by place: weight of a case in pairs with those later in line.
        rivals: whether there are any.

    Returns:
        By place, each (n,): for cases, the number of later patients with a lower risk; for everybody, ``square`` of
        earlier cases with a higher risk; for cases the weight of rivals at that moment or before with a lower risk, and
        for rivals the weight of cases at that moment or later with a higher one (zeros without rivals).
    """
    by_rank = [np.zeros(len(line)) for _ in range(3)]
    _weigh(ranked.sequence, ranked.place, weight, square, rivals, _BELOW, *by_rank)
    if rivals:
        _later_cases(ranked.place, weight, by_rank[2])
    if not ranked.new.all():
        _weigh_equal(ranked.place, ranked.new, line.moment, weight, square, *by_rank)
    out = [np.empty(len(line)) for _ in range(3)]
    for found, placed in zip(by_rank, out, strict=True):
        placed[ranked.place] = found
    return out[0], out[1], out[2]


@njit(cache=True)
def _pack(values: Floats, late: Mask, packed: Keys) -> tuple[int, bool]:  # pragma: no cover (compiled)
    """Whole numbers in the order of the values; how many low bits hold the row, and whether bits of values are lost."""
    n = len(values)
    raw = values.view(np.uint64)
    low, high, mixed = ~np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(n):
        key = raw[i]
        if key == _TOP:  # minus zero
            key = np.uint64(0)
        key = ~key if key & _TOP else key | _TOP
        packed[i] = key
        low, high, mixed = min(low, key), max(high, key), mixed | (key ^ packed[0])
    bits, need, common = 1, 0, np.uint64(0)
    while (1 << bits) < n:
        bits += 1
    while mixed and not (mixed >> common) & _ONE:
        common += _ONE
    while n and need < 64 and ((high - low) >> common) >> np.uint64(need):
        need += 1
    lost = max(0, need + bits + 1 - 64)
    shift, row_bits = common + np.uint64(lost), np.uint64(bits)
    for i in range(n):
        key = ((packed[i] - low) >> shift) << np.uint64(1)
        if len(late) and late[i]:
            key |= _ONE
        packed[i] = (key << row_bits) | np.uint64(i)
    return bits, lost > 0


@njit(cache=True)
def _unpack(
    packed: Keys, bits: int, lost: bool, values: Floats, late: Mask, order: Places, new: Mask
) -> bool:  # pragma: no cover (compiled)
    """Fill order and new; False when too many values differ in the lost bits only."""
    n, row_bits = len(packed), np.uint64(bits)
    rows = (_ONE << row_bits) - _ONE
    for k in range(n):
        order[k] = np.int32(packed[k] & rows)
        new[k] = k == 0 or packed[k] >> row_bits != packed[k - 1] >> row_bits
    if not lost:
        return True
    start, row_bits = 0, row_bits + _ONE
    for k in range(1, n + 1):
        if k < n and packed[k] >> row_bits == packed[start] >> row_bits:
            continue
        for a in range(start + 1, k):
            row, b = order[a], a
            while b > start and _after(values, late, order[b - 1], row):
                if k - start > _RUN:
                    return False
                order[b] = order[b - 1]
                b -= 1
            order[b] = row
        for a in range(start + 1, k):
            new[a] = _after(values, late, order[a], order[a - 1])
        start = k
    return True


@njit(cache=True)
def _after(values: Floats, late: Mask, one: int, other: int) -> bool:  # pragma: no cover (compiled)
    if values[one] != values[other]:
        return values[one] > values[other]
    return len(late) > 0 and late[one] and not late[other]


@njit(cache=True)
def _taken(values: Floats, rows: Places) -> Floats:  # pragma: no cover (compiled)
    out = np.empty(len(rows))
    for k in range(len(rows)):
        out[k] = values[rows[k]]
    return out


@njit(cache=True)
def _sequence(place: Places, moment: Places, start: Places) -> Places:  # pragma: no cover (compiled)
    """Ranks along the line, rising within each moment."""
    filled, sequence = start.copy(), np.empty_like(place)
    for rank in range(len(place)):
        m = moment[place[rank]]
        sequence[filled[m]] = rank
        filled[m] += 1
    return sequence


@njit(cache=True)
def _inversions(sequence: Places, place: Places, case: Mask) -> int:  # pragma: no cover (compiled)
    """Pairs of a case and a later place with a lower rank.

    From the end of the line, seen ranks are bits in words of 64 with a Fenwick tree of counts over the words: small
    enough for the processor's cache.
    """
    n = len(sequence)
    words = (n >> 6) + 1
    seen, tree = np.zeros(words, np.uint64), np.zeros(words + 1, np.int32)
    won = 0
    for k in range(n - 1, -1, -1):
        rank = sequence[k]
        word, bit = rank >> 6, _ONE << np.uint64(rank & 63)
        if case[place[rank]]:
            i = word
            while i > 0:
                won += tree[i]
                i -= i & -i
            won += _ones(seen[word] & (bit - _ONE))
        seen[word] |= bit
        i = word + 1
        while i <= words:
            tree[i] += 1
            i += i & -i
    return won


@njit(cache=True)
def _ones(word: np.uint64) -> int:  # pragma: no cover (compiled)
    """How many bits are set."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))  # type: ignore[return-value]


@njit(cache=True)
def _equal_later(place: Places, new: Mask, moment: Places, case: Mask) -> int:  # pragma: no cover (compiled)
    """Pairs of a case and a later patient with the same risk."""
    n, total, end, run = len(place), 0, 0, 0
    for rank in range(n):
        if new[rank]:
            end = rank + 1
            while end < n and not new[end]:
                end += 1
        if new[rank] or moment[place[rank]] != moment[place[rank - 1]]:
            run = rank + 1
            while run < end and moment[place[run]] == moment[place[rank]]:
                run += 1
        if case[place[rank]]:
            total += end - run
    return total


@njit(cache=True)
def _weigh(
    sequence: Places,
    place: Places,
    weight: Floats,
    square: Floats,
    rivals: bool,
    below: Floats,
    lower: Floats,
    higher: Floats,
    across: Floats,
) -> None:  # pragma: no cover (compiled)
    """Sums over strictly different ranks, by rank; for rivals, ``across`` holds the earlier cases of higher rank.

    Ranks are sorted by their digits from the highest down, each time along the line; at each digit a patient meets
    those whose ranks agree up to there and differ in it. At the end everything lies in order of rank.
    """
    n, shift = len(sequence), 0
    while n > 0 and (n - 1) >> (shift + _DIGIT):
        shift += _DIGIT
    # Along the line: rank, weight, its square, the sums so far (lower, higher, across); and the same sorted further.
    rank, after = sequence.copy(), np.empty_like(sequence)
    held, moved = np.zeros((n, 5 if rivals else 4)), np.empty((n, 5 if rivals else 4))
    for k in range(n):
        held[k, 0], held[k, 1] = weight[place[rank[k]]], square[place[rank[k]]]
    squares, weights, passed, taken = np.zeros(_FAN), np.zeros(_FAN), np.zeros(_FAN), np.zeros(_FAN)
    while shift >= 0:
        width = 1 << shift
        for first in range(0, n, width * _FAN):
            squares[:], weights[:], passed[:], taken[:] = 0.0, 0.0, 0.0, 0.0
            for k in range(first, min(n, first + width * _FAN)):
                digit = (rank[k] - first) >> shift
                to = first + digit * width + np.int64(taken[digit])
                own, own_square = held[k, 0], held[k, 1]
                after[to] = rank[k]
                moved[to, 0], moved[to, 1], moved[to, 2] = own, own_square, held[k, 2]
                moved[to, 3] = held[k, 3] + squares[digit]
                if rivals:
                    moved[to, 4] = held[k, 4]
                if own > 0:
                    met = 0.0
                    for d in range(_FAN):
                        met += taken[d] * below[digit, d]
                        squares[d] += own_square * below[digit, d]
                    moved[to, 2] += digit * width - met
                    if rivals:
                        moved[to, 4] += passed[digit]
                        for d in range(_FAN):
                            weights[d] += own * below[digit, d]
                elif own < 0:
                    moved[to, 4] += weights[digit]
                    for d in range(digit + 1, _FAN):
                        passed[d] -= own
                taken[digit] += 1.0
        rank, after, held, moved = after, rank, moved, held
        shift -= _DIGIT
    lower[:], higher[:] = held[:, 2], held[:, 3]
    if rivals:
        across[:] = held[:, 4]


@njit(cache=True)
def _later_cases(place: Places, weight: Floats, across: Floats) -> None:  # pragma: no cover (compiled)
    """For rivals: from the weight of earlier cases of a higher rank to that of all the other cases of a higher rank."""
    above = 0.0
    for rank in range(len(place) - 1, -1, -1):
        own = weight[place[rank]]
        if own > 0:
            above += own
        elif own < 0:
            across[rank] = above - across[rank]


@njit(cache=True)
def _weigh_equal(
    place: Places,
    new: Mask,
    moment: Places,
    weight: Floats,
    square: Floats,
    lower: Floats,
    higher: Floats,
    across: Floats,
) -> None:  # pragma: no cover (compiled)
    """Turn sums over ranks into sums over risks, where equal risks have several ranks and count a half."""
    n, start = len(place), 0
    while start < n:
        end, cases = start + 1, max(weight[place[start]], 0.0)
        while end < n and not new[end]:
            cases += max(weight[place[end]], 0.0)
            end += 1
        run, squares, before, passed = start, 0.0, 0.0, 0.0  # of the moments before: cases twice, rivals
        while run < end:
            stop, mine, mine_square, beside = run, 0.0, 0.0, 0.0
            while stop < end and moment[place[stop]] == moment[place[run]]:
                own = weight[place[stop]]
                if own > 0:
                    mine, mine_square = mine + own, mine_square + square[place[stop]]
                else:
                    beside -= own
                stop += 1
            met, ahead = passed, cases - before
            for rank in range(run, stop):
                own = weight[place[rank]]
                higher[rank] += 0.5 * squares
                if own > 0:
                    lower[rank] += 0.5 * (end - stop)
                    across[rank] += 0.5 * (passed + beside) - met
                    ahead -= own
                elif own < 0:
                    met -= own
                    across[rank] -= ahead - 0.5 * (cases - before)
            squares, before, passed, run = squares + mine_square, before + mine, passed + beside, stop
        start = end
