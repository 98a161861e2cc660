"""A small language for choosing rows: ``PREVCHD == 1 or `Age at visit` >= 65 and site in ["A", "B"]``.

Grammar, loosest first: ``or``; ``and``; ``not``; one comparison (``==  !=  <  <=  >  >=  in  not in``,
``is missing``, ``is not missing``); a name, a number, a quoted text or a parenthesis. Names that hold anything but
letters, digits, underscores and full stops stand in backticks. Nothing is ever executed: the text becomes a tree of
comparisons that are evaluated on whole columns.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.errors import UsageError

__all__ = ["Where", "parse_where"]

_LONGEST = 10_000
_DEEPEST = 50
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<text>"[^"]*"|'[^']*')
    | (?P<quoted>`[^`]+`)
    | (?P<word>[^\W\d][\w.]*)
    | (?P<symbol>==|!=|<=|>=|<|>|\(|\)|\[|\]|,)
    )""",
    re.VERBOSE,
)
_KEYWORDS = {"and", "or", "not", "in", "is", "missing"}
_COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip
_MIRROR = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

Mask = NDArray[np.bool_]
Literal = float | str
#: Evaluates one node on the columns of a frame of ``n`` rows.
Node = Callable[["_Columns"], Mask]


@dataclass(frozen=True)
class Where:
    """A parsed condition.

    Attributes:
        text: as it was written.
        names: the columns it asks for, in order of appearance.
        literals: each column with a number or text it is compared with.
    """

    text: str
    names: tuple[str, ...]
    literals: tuple[tuple[str, float | str], ...]
    _node: Node

    def __repr__(self) -> str:
        return f"Where({self.text!r})"

    def evaluate(self, frame: pd.DataFrame | Mapping[str, Any]) -> Mask:
        """(n,) bool, true where a row fulfils the condition.

        Columns may be raw text, numbers or categories (compared by label). Against a number literal, cells are
        compared as numbers, and a cell that is no number equals nothing; against a text literal, as text.
        Comparisons with a missing cell are false, ``!=`` and ``not in`` too; ``not (...)`` turns that around.

        Raises:
            UsageError: a column is not in the frame, or the labels of a category are compared by size with a text.
        """
        unknown = [name for name in self.names if name not in frame]
        if unknown:
            near = difflib.get_close_matches(unknown[0], [str(name) for name in frame], n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"the condition {self.text!r} asks for {', '.join(unknown)}, which is not there{hint}")
        return self._node(_Columns(frame))


def parse_where(text: str) -> Where:
    """Parse a condition; raises UsageError with the place of the first mistake."""
    if not isinstance(text, str) or not text.strip():
        raise UsageError("a condition must say something, such as 'AGE >= 18'")
    if len(text) > _LONGEST:
        raise UsageError(f"a condition may be {_LONGEST} characters long, this one has {len(text)}")
    parser = _Parser(text, _tokens(text))
    node = parser.disjunction(0)
    if parser.peek() is not None:
        parser.fail("the end of the condition, 'and' or 'or'")
    return Where(text, tuple(dict.fromkeys(parser.names)), tuple(parser.literals), node)


class _Columns:
    """The columns of a frame as numbers, as text and as a mask of what is missing, each worked out once."""

    def __init__(self, frame: pd.DataFrame | Mapping[str, Any]) -> None:
        self._frame = frame
        self._numbers: dict[str, NDArray[np.float64]] = {}
        self._texts: dict[str, NDArray[np.object_]] = {}

    def series(self, name: str) -> pd.Series:
        return pd.Series(self._frame[name])

    def missing(self, name: str) -> Mask:
        return self.series(name).isna().to_numpy()

    def numbers(self, name: str) -> NDArray[np.float64]:
        if name not in self._numbers:
            column = self.series(name)
            if column.dtype.kind not in "fiub":
                column = pd.to_numeric(column.astype(object), errors="coerce")
            self._numbers[name] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return self._numbers[name]

    def texts(self, name: str) -> NDArray[np.object_]:
        """Cells as text, "" where missing; whole numbers without a decimal point."""
        if name not in self._texts:
            column = self.series(name)
            if column.dtype.kind in "fiub":
                cells = [f"{value:.15g}" for value in column.to_numpy(dtype=np.float64, na_value=np.nan)]
                texts = np.array(cells, dtype=object)
            else:
                texts = column.astype(object).where(column.notna(), "").astype(str).to_numpy(dtype=object)
            texts[self.missing(name)] = ""
            self._texts[name] = texts
        return self._texts[name]

    def ordered(self, name: str) -> bool:
        """Whether the cells may be compared by size as text (raw text such as ISO dates, never labels)."""
        return not isinstance(self.series(name).dtype, pd.CategoricalDtype)


def _compare(name: str, symbol: str, value: Literal) -> Node:
    compare = _COMPARE[symbol]

    def number(columns: _Columns) -> Mask:
        with np.errstate(invalid="ignore"):
            return compare(columns.numbers(name), value) & ~columns.missing(name)

    def text(columns: _Columns) -> Mask:
        if symbol not in ("==", "!=") and not columns.ordered(name):
            raise UsageError(f"{name!r} is a category: its labels have no size, use == or in")
        return compare(columns.texts(name), value).astype(bool) & ~columns.missing(name)

    return number if isinstance(value, float) else text


def _compare_columns(left: str, symbol: str, right: str) -> Node:
    compare = _COMPARE[symbol]

    def node(columns: _Columns) -> Mask:
        a, b = columns.numbers(left), columns.numbers(right)
        known = ~columns.missing(left) & ~columns.missing(right)
        as_numbers = np.isfinite(a) & np.isfinite(b)
        with np.errstate(invalid="ignore"):
            by_number = compare(a, b)
        if symbol in ("==", "!="):
            return (
                np.where(as_numbers, by_number, compare(columns.texts(left), columns.texts(right))).astype(bool) & known
            )
        return by_number & known & as_numbers

    return node


def _member(name: str, values: list[Literal]) -> Node:
    numbers = [value for value in values if isinstance(value, float)]
    texts = [value for value in values if isinstance(value, str)]

    def node(columns: _Columns) -> Mask:
        mask = np.zeros(len(columns.series(name)), dtype=bool)
        if numbers:
            mask |= np.isin(columns.numbers(name), numbers)
        if texts:
            mask |= pd.Series(columns.texts(name)).isin(texts).to_numpy()
        return mask & ~columns.missing(name)

    return node


@dataclass(frozen=True)
class _Token:
    kind: str
    value: str
    place: int


def _tokens(text: str) -> list[_Token]:
    tokens, place = [], 0
    end = len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            raise UsageError(f"cannot read the condition {text!r}: unexpected {text[at]!r} at character {at + 1}")
        kind, value = match.lastgroup, match[match.lastgroup]
        if kind == "word" and value in _KEYWORDS:
            kind = "symbol"
        tokens.append(_Token(kind, value, match.start(match.lastgroup)))
        place = match.end()
    return tokens


class _Parser:
    """Recursive descent, one method for each line of the grammar."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text, self.tokens, self.next = text, tokens, 0
        self.names: list[str] = []
        self.literals: list[tuple[str, Literal]] = []

    def peek(self, ahead: int = 0) -> str | None:
        """The symbol or keyword that comes; "" for a name or literal, None at the end."""
        if self.next + ahead >= len(self.tokens):
            return None
        token = self.tokens[self.next + ahead]
        return token.value if token.kind == "symbol" else ""

    def accept(self, *symbols: str) -> bool:
        if all(self.peek(i) == symbol for i, symbol in enumerate(symbols)):
            self.next += len(symbols)
            return True
        return False

    def fail(self, expected: str) -> None:
        if self.next < len(self.tokens):
            token = self.tokens[self.next]
            found = f"{token.value!r} at character {token.place + 1}"
        else:
            found = "its end"
        raise UsageError(f"cannot read the condition {self.text!r}: expected {expected}, found {found}")

    def disjunction(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise UsageError(f"cannot read the condition: parentheses are nested more than {_DEEPEST} deep")
        nodes = [self.conjunction(depth)]
        while self.accept("or"):
            nodes.append(self.conjunction(depth))
        return nodes[0] if len(nodes) == 1 else lambda c: np.logical_or.reduce([node(c) for node in nodes])

    def conjunction(self, depth: int) -> Node:
        nodes = [self.negation(depth)]
        while self.accept("and"):
            nodes.append(self.negation(depth))
        return nodes[0] if len(nodes) == 1 else lambda c: np.logical_and.reduce([node(c) for node in nodes])

    def negation(self, depth: int) -> Node:
        inverted = False
        while self.accept("not"):
            inverted = not inverted
        node = self.comparison(depth)
        return (lambda c: ~node(c)) if inverted else node

    def comparison(self, depth: int) -> Node:
        if self.accept("("):
            node = self.disjunction(depth + 1)
            if not self.accept(")"):
                self.fail("')'")
            return node
        left = self.operand()
        name = left.value if left.kind == "name" else None
        if name is not None and (node_or_none := self.about_one_column(name)) is not None:
            return node_or_none
        symbol = self.peek()
        if symbol not in _COMPARISONS:
            self.fail("a comparison such as '==', 'in' or 'is missing'")
        self.next += 1
        right = self.operand()
        if self.peek() in _COMPARISONS:
            self.fail("'and' between two comparisons")
        assert symbol is not None
        if left.kind == "name" and right.kind == "name":
            return _compare_columns(left.value, symbol, right.value)
        if left.kind == "name":
            return self.compare(left.value, symbol, _literal(right))
        if right.kind == "name":
            return self.compare(right.value, _MIRROR[symbol], _literal(left))
        self.next -= 1
        self.fail("the name of a column on one side of a comparison")
        raise AssertionError

    def compare(self, name: str, symbol: str, value: Literal) -> Node:
        self.literals.append((name, value))
        return _compare(name, symbol, value)

    def about_one_column(self, name: str) -> Node | None:
        """``is [not] missing`` and ``[not] in [...]`` after a name, or None when something else follows."""
        if self.accept("is", "missing"):
            return lambda c: c.missing(name)
        if self.accept("is", "not", "missing"):
            return lambda c: ~c.missing(name)
        if self.accept("in"):
            return self.member(name)
        if self.accept("not", "in"):
            node = self.member(name)
            return lambda c: ~node(c) & ~c.missing(name)
        return None

    def member(self, name: str) -> Node:
        values = self.values()
        self.literals += [(name, value) for value in values]
        return _member(name, values)

    def values(self) -> list[Literal]:
        close = {"[": "]", "(": ")"}.get(self.peek() or "")
        if close is None:
            self.fail("'[' and a list of values")
        self.next += 1
        values = []
        while not self.accept(close or ""):
            operand = self.operand()
            if operand.kind == "name":
                self.next -= 1
                self.fail("a number or a quoted text")
            values.append(_literal(operand))
            if not self.accept(",") and self.peek() != close:
                self.fail(f"',' or {close!r}")
        if not values:
            self.next -= 1
            self.fail("at least one value")
        return values

    def operand(self) -> _Token:
        if self.next >= len(self.tokens) or self.tokens[self.next].kind == "symbol":
            self.fail("the name of a column, a number or a quoted text")
        token = self.tokens[self.next]
        self.next += 1
        if token.kind in ("word", "quoted"):
            name = token.value.strip("`") if token.kind == "quoted" else token.value
            self.names.append(name)
            return _Token("name", name, token.place)
        return token


def _literal(token: _Token) -> Literal:
    if token.kind == "number":
        value = float(token.value)
        if not math.isfinite(value):
            raise UsageError("a number in a condition must be finite")
        return value
    return token.value[1:-1]
