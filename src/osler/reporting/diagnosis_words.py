"""What the report of a study of classes says in sentences: the answer, the shift of shares, methods and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osler.cells import SMALLEST
from osler.cohort.cohort import Cohort
from osler.evaluation.comparison import Choice
from osler.reporting.diagnosis_measures import MEASURES
from osler.reporting.words import capitalise, interval, joined, known, percent, significant

__all__ = ["answer", "limits", "methods", "p_value", "shift_words", "twins_words"]


def answer(s: Mapping[str, Any], choice: Choice) -> dict[str, Any]:
    """Headline, sentences, and the figures to remember, of the chosen classifier."""
    row = next(r for r in s["models"] if r["model"] == choice.model)
    auc = row["values"].get("auc", {})
    nothing = choice.model == "shares"
    if nothing:
        headline, tone = f"Nothing told {s['diagnosis']} apart better than knowing how common each class is", "none"
    elif choice.model == "network" and " is no better than " in s["verdict"]:
        headline, tone = f"{s['chosen']['label']} is first, and no better than logistic regression", "mixed"
    else:
        headline = f"{s['chosen']['label']} is the classifier to use"
        tone = "good" if known(auc.get("lower")) and auc["lower"] > 0.7 else "mixed"
    facts = [
        _fact(row, "auc", f"for telling {joined(s['classes'])} apart; 0.5 is chance"),
        _fact(row, "accuracy", "of the patients judged"),
        _fact(row, "brier", "0 is best; " + _null(s)),
    ]
    sentences = [s["choice"], *([s["verdict"]] if s["verdict"] else []), *s["shift_words"][:1]]
    return {"headline": headline, "tone": tone, "sentences": sentences, "facts": [f for f in facts if f]}


def _fact(row: Mapping[str, Any], name: str, meaning: str) -> dict[str, str] | None:
    value, measure = row["values"].get(name), MEASURES[name]
    if not value or not known(value["value"]):
        return None
    bounds = interval(value["lower"], value["upper"], measure.show)
    return {"label": measure.label, "value": measure.show(value["value"]), "interval": bounds, "meaning": meaning}


def _null(s: Mapping[str, Any]) -> str:
    found = next((r["values"]["brier"]["value"] for r in s["models"] if r["model"] == "shares"), None)
    return "" if found is None else f"class shares alone {MEASURES['brier'].show(found)}"


def shift_words(s: Mapping[str, Any], shift: Mapping[str, Any] | None) -> list[str]:
    """Whether the class shares of the tested differ from those of training, told by each model; and what was done."""
    if shift is None or s["shift"] is None:
        return []
    told = s["shift"]
    said = []
    best = s["chosen"]["model"] if s["chosen"]["model"] in shift["estimates"] else None
    model = best or next(reversed(shift["estimates"]), None)
    if model is not None:
        found, row = shift["estimates"][model], next(r for r in told["models"] if r["model"] == model)
        c = s["classes"].index(s["positive"])
        numbers = (
            f"{percent(found['training'][c])} of the training patients are of class {s['positive']}; among those "
            f"tested {row['label']} estimates {row['shares'][c]} without looking at their classes "
            f"(likelihood ratio {row['statistic']}, {row['told_p']})"
        )
        if found["p"] < 0.05:
            done = (
                "Corrected probabilities are shown beside the others."
                if told["source"]
                else "Nothing was corrected: probabilities are those of the training shares until a correction is "
                "asked."
            )
            said.append(f"The class shares have shifted: {numbers}. {done}")
        else:
            said.append(f"No shift of class shares was noticed: {numbers}.")
        said.append(f"As it turned out, {percent(shift['observed'][c])} of those tested are of class {s['positive']}.")
    if told["source"] == "given":
        said.insert(0, "Probabilities are also shown for the class shares that were given.")
    return said


def twins_words(twins: int | None, tested: int) -> str:
    """How many of the tested have a picture that all but lies in the training part; empty where none has."""
    if not twins:
        return ""
    many = f"{twins:,}" if twins >= SMALLEST else f"Fewer than {SMALLEST}"
    return (
        f"{many} of the {tested:,} patients judged have a picture that correlates by more than 0.99 with one that was "
        "learned from: probably the same patient, or the same picture twice. Memory passes for skill there."
    )


def methods(s: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """How it was done, for the methods section of a paper."""
    used = [name for name in ("shares", "logistic", "boosted", "network") if name in s["labels"]]
    about = {
        "shares": "Class shares give everybody the shares of the training patients: what knowing nothing is worth.",
        "logistic": "Logistic regression is multinomial with one ridge penalty, chosen by five folds inside the "
        "training part; pictures enter as principal components of their pixels, learned in training.",
        "boosted": "Boosted trees (XGBoost) read the same columns; the number of rounds is chosen by three folds "
        "inside the training part.",
        "network": "The network of Osler reads pictures by small convolutional networks, each of which leaves a part "
        "of the training patients out, on whom its training is stopped; a training picture is scored by the one "
        "network that never saw its patient. A ridge path with a penalty for each kind of data reads these scores and "
        "all other columns; where there are other columns, small networks correct it and stand beside it. "
        "Probabilities are the equal mean.",
    }
    judged = (
        f"AUC compares pairs of patients; of many classes it is the mean over pairs of classes (Hand and Till 2001). "
        f"The Brier score is half the squared distance to what was the case. Intervals ({s['confidence']}) come from "
        "influence functions (of AUC DeLong's, of ICI, E50 and E90 the bootstrap)"
        + ("" if "divides itself" in run.get("division", "") else ", and hold the variation from fitting anew")
        + ". The classifier to use is the simplest whose Brier score is within one standard error of the best. "
        "Calibration is judged class against rest, beside the range that perfectly calibrated probabilities would show."
    )
    paragraphs = [str(run.get("division", "")), *(about[name] for name in used), judged]
    if s["shift"] is not None:
        paragraphs.append(
            "Class shares among the tested are estimated by maximum likelihood from their probabilities, without their "
            "classes (EM algorithm), and held against those of training by a likelihood ratio test (Saerens, Latinne "
            "and Decaestecker 2002). A correction multiplies the probability of each class by the ratio of its shares "
            "and brings rows to one."
        )
    return [paragraph for paragraph in paragraphs if paragraph]


def limits(s: Mapping[str, Any], cohort: Cohort) -> list[dict[str, str]]:
    """What a reader must bear in mind."""
    told = []
    if "divides itself" in s["division"]:
        told.append(
            {
                "title": "One test set",
                "text": "Intervals tell how the measures vary with the patients tested. They do not tell how they "
                "would vary had the classifiers learned from others.",
            }
        )
    if s["shift"] is not None and s["shift"]["noticed"]:
        text = (
            "The estimate takes each model's probabilities as right for the training shares, and patients of a class "
            "as alike in training and test. Where they are not, as between hospitals or devices, a shift is seen that "
            "is none of shares, and correcting it can do harm: compare the Brier scores before and after."
        )
        told.append({"title": "What a shift of shares can be", "text": text})
    if any(len(block.visit) for block in cohort.images.values()):
        told.append(
            {
                "title": "What pictures hold",
                "text": "A picture also shows the device, the hospital and the marks burnt into it; a classifier may "
                "use them. Saliency maps show where it looks, and not why.",
            }
        )
    told.append(
        {
            "title": "No diagnosis",
            "text": f"A probability of {capitalise(s['diagnosis'])} holds among patients like these, in the shares of "
            "classes that they have. It is no medical device.",
        }
    )
    return told


def p_value(p: float) -> str:
    """Such as "p = 0.03"."""
    return "p < 0.001" if p < 0.001 else f"p = {significant(p, 2)}"
