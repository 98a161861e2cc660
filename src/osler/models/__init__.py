"""Risk models behind one interface; ``create`` makes any of them by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from osler.config import MODEL_NAMES, Question
from osler.errors import UsageError
from osler.models.base import RiskModel

__all__ = ["MODELS", "create", "model_class", "setting_names"]

#: Name -> what reports call the model, from the simplest to the richest.
MODELS: dict[str, str] = {
    "reference": "Reference (Aalen-Johansen)",
    "cox": "Cox",
    "stacked_cox": "Stacked Cox",
    "aft": "Weibull AFT",
    "boosted_cox": "Boosted Cox (XGBoost)",
    "boosted_hazard": "Boosted hazard (XGBoost)",
    "recurrent": "Recurrent (Osler)",
    "ensemble": "Ensemble (Osler)",
}
assert tuple(MODELS) == MODEL_NAMES

# A model's libraries are imported when it is first asked for, not before.
_CLASSES: dict[str, str] = {
    "reference": "osler.models.reference:Reference",
    "cox": "osler.models.cox:Cox",
    "stacked_cox": "osler.models.cox:StackedCox",
    "aft": "osler.models.aft:WeibullAFT",
    "boosted_cox": "osler.models.boosted:BoostedCox",
    "boosted_hazard": "osler.models.boosted:BoostedHazard",
    "recurrent": "osler.models.recurrent:Recurrent",
    "ensemble": "osler.models.ensemble:Ensemble",
}


def model_class(name: str) -> type[RiskModel]:
    """The class of a model by name; raises UsageError for a name that is none of ``MODELS``."""
    if name not in _CLASSES:
        raise UsageError(f"no model is called {name!r}; there are {', '.join(MODELS)}")
    module, _, attribute = _CLASSES[name].partition(":")
    found: type[RiskModel] = getattr(import_module(module), attribute)
    return found


def setting_names(name: str) -> tuple[str, ...]:
    """Hyper-parameters that the constructor of a model takes."""
    return tuple(model_class(name)(Question(landmarks=(0.0,), horizons=(1.0,))).settings())


def create(name: str, question: Question, *, random_state: int = 0, **settings: Any) -> RiskModel:
    """A model by name, not yet fitted.

    Args:
        name: one of ``MODELS``.
        question: landmarks and horizons that it will be asked.
        random_state: seed of whatever it draws.
        settings: hyper-parameters of its constructor; what is not given keeps its default.

    Raises:
        UsageError: an unknown name, or a setting that the model does not have.
    """
    allowed = setting_names(name)
    unknown = sorted(set(settings) - set(allowed))
    if unknown:
        raise UsageError(
            f"the model {name!r} has no setting {', '.join(map(repr, unknown))}; "
            f"its settings are {', '.join(allowed) or 'none'}"
        )
    return model_class(name)(question, random_state=random_state, **settings)
