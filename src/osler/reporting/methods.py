"""How a study was done, in paragraphs that a statistician can check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig
from osler.reporting.cells import SMALLEST
from osler.reporting.words import joined, moment, percent, plural, spell

__all__ = ["methods"]

#: What each model is, after its label.
_MODELS = {
    "reference": "gives everybody the observed risk of the training patients",
    "cox": "is a cause-specific Cox model with a ridge penalty for each kind of data, fitted at each landmark",
    "stacked_cox": "is one over all landmarks stacked (landmark supermodel)",
    "aft": "is a penalised Weibull model of each cause",
    "boosted_cox": "grows trees for the partial likelihood of each cause",
    "boosted_hazard": "grows trees for the hazards of all causes in intervals of time",
    "recurrent": "is the equal mean of four: a ridge path (Poisson hazards, effects that may change with time, one "
    "penalty for each kind of data), recurrent networks over the visits that correct it, recurrent networks free of "
    "it, and boosted trees (XGBoost) on what the networks are told; so where it beats boosted trees alone, it holds "
    "what they found",
    "ensemble": "is the mean of several of the models, each counted by the unlike answers that it is a mean of",
}


def methods(
    cohort: Cohort, config: StudyConfig, labels: Mapping[str, str], evaluated: Mapping[str, Any], measures: set[str]
) -> list[str]:
    """Paragraphs on the question, resampling, measures, intervals and whatever else was done.

    Args:
        cohort: the patients, with an outcome.
        config: how the study was set up.
        labels: what to call each model.
        evaluated: the parts of the summary that not every study has: what is empty is not described.
        measures: names of what was measured.
    """
    assert cohort.outcome is not None
    landmarks = joined(moment(x) for x in config.landmarks)
    horizons = joined(spell(x) for x in config.horizons)
    question = (
        f"Risks of {cohort.outcome.causes[0]} were predicted at {plural(len(config.landmarks), 'landmark')} "
        f"({landmarks}) for {horizons} ahead. A prediction uses what was known on or before its landmark, and is made "
        "for patients still at risk then; follow-up counts from the landmark."
    )
    paragraphs = [
        question,
        _resampling(cohort, config, labels),
        _models(cohort, config, labels),
        _tuning(config, labels),
        _competing(cohort),
        _measures(measures),
        _weights(cohort, config),
        _intervals(config),
        _calibration(config, evaluated),
        _usefulness(evaluated),
        _parts(evaluated),
        "The model to use is the simplest whose integrated Brier score, at the longest horizon and averaged over "
        "landmarks, is within one standard error (of the paired difference) of the best. Counts of fewer than "
        f"{SMALLEST} patients are withheld, and so are counts that would give them away by subtraction.",
    ]
    return [paragraph for paragraph in paragraphs if paragraph]


def _label(cohort: Cohort, name: str) -> str:
    return cohort.variables[name].label if name in cohort.variables else name


def _resampling(cohort: Cohort, config: StudyConfig, labels: Mapping[str, str]) -> str:
    """How patients were divided, and what happened where."""
    how, by = getattr(config, "split", "random"), getattr(config, "split_by", None) or ""
    models = joined(labels[name] for name in config.models)
    if how == "sites":
        division = (
            f"by leaving out whole sites ({_label(cohort, by)}; internal-external validation, Royston et al., Stat Med "
            "2004;23:907-926): every patient was predicted by models that saw nobody of the same site"
        )
    elif how == "time":
        division = (
            f"forward in time: patients were ordered by entry ({_label(cohort, by)}) and cut into {config.folds + 1} "
            "blocks, and each block was predicted by models that learned from all blocks before it. The first block "
            "was never predicted"
        )
    else:
        again = f", repeated {config.repeats} times with other divisions" if config.repeats > 1 else ""
        division = (
            f"by {config.folds}-fold cross-validation{again}, on the same folds. Folds divide patients, never visits, "
            "and are balanced for outcome and follow-up time"
        )
    mean = " Values are means over the repeats." if config.repeats > 1 else ""
    return (
        f"The models ({models}) were compared {division}. Imputation, scaling, reduction, tuning and early stopping "
        "happened inside the training part. Measures were computed on the pooled out-of-fold predictions of the "
        f"patients at risk.{mean}"
    )


def _models(cohort: Cohort, config: StudyConfig, labels: Mapping[str, str]) -> str:
    """What each of the models is."""
    assert cohort.outcome is not None
    told = "; ".join(f"{labels[name]} {_MODELS[name]}" for name in config.models)
    causes = " Each cause has a hazard of its own, and all of them give the risks." * (len(cohort.outcome.causes) > 1)
    return f"{told}.{causes}"


def _tuning(config: StudyConfig, labels: Mapping[str, str]) -> str:
    tuning = getattr(config, "tuning", None)
    trials = getattr(tuning, "trials", 0)
    if not trials:
        return ""
    asked = getattr(tuning, "models", None) or [name for name in config.models if name != "reference"]
    names = joined(labels[name] for name in config.models if name in asked)
    seconds = getattr(tuning, "seconds", None)
    within = f", within {seconds:g} seconds," if seconds is not None else ""
    return (
        f"Settings that the study does not fix were searched for {names}: up to {plural(trials, 'trial')}{within} "
        "proposed by a tree-structured Parzen estimator (Optuna) in every training part, and scored by the integrated "
        "Brier score on inner folds of it. A model keeps its own settings unless others scored better."
    )


def _competing(cohort: Cohort) -> str:
    assert cohort.outcome is not None
    event, *competing = cohort.outcome.causes
    if not competing:
        return ""
    return (
        f"{joined(competing).capitalize()} {'compete' if len(competing) > 1 else 'competes'} with {event}: a "
        "patient who suffers it first can no longer have the event of interest. It is not treated as censoring; "
        "predicted risks are cumulative incidences (absolute risks), and so is the observed risk "
        "(Aalen-Johansen estimate)."
    )


def _measures(measures: set[str]) -> str:
    told = [
        "AUC is time-dependent, cumulative/dynamic: cases have the event of interest by the horizon, controls do not "
        "(those with a competing event among them); pairs are compared within a fold, and so are those of C-indices."
    ]
    if "c_index" in measures:
        told.append("Uno’s C counts events up to the horizon (Stat Med 2011;30:1105-1117).")
    if "harrell_c" in measures:
        told.append("Harrell’s C does so without weights (JAMA 1982;247:2543-2546).")
    if "antolini_c" in measures:
        told.append("Antolini’s C-td compares whole risk curves (Stat Med 2005;24:3927-3944).")
    told.append(
        "The integrated Brier score is the mean of the Brier score over time up to the horizon. IPA is one minus the "
        "ratio of the Brier score to that of the average risk."
    )
    if "royston_d" in measures:
        told.append("Royston’s D and R² follow Royston and Sauerbrei (Stat Med 2004;23:723-748).")
    return " ".join(told)


def _weights(cohort: Cohort, config: StudyConfig) -> str:
    given = joined(_label(cohort, name) for name in getattr(config, "censoring", ()))
    how = (
        f"allowed to depend on {given}: each patient has their own probability of still being followed"
        if given
        else "estimated by the reverse Kaplan-Meier method from everybody at risk"
    )
    return (
        f"AUC, Uno’s C, Brier score and net benefit are weighted by the inverse probability of censoring, {how}. The "
        "effective sample size is what the weights leave of the patients (Kish): the square of their sum over the sum "
        "of their squares."
    )


def _intervals(config: StudyConfig) -> str:
    level = percent(config.confidence, 0)
    return (
        f"Intervals are at {level}. Standard errors come from influence functions, hold the estimation of the weights "
        "and, by the corrected variance of repeated cross-validation (Nadeau and Bengio, Mach Learn "
        "2003;52:239-281), the refitting of the models to other patients. Models are compared by paired differences "
        "on the same patients. Where comparisons are read together, bounds hold for all pairs of models and all "
        "horizons of one landmark and measure at once; those of a decision curve, for all its thresholds."
    )


def _calibration(config: StudyConfig, evaluated: Mapping[str, Any]) -> str:
    told = "Observed/expected is the Aalen-Johansen estimate over the mean predicted risk."
    replicates = getattr(config, "replicates", 0)
    if evaluated["smooth"]:
        told += (
            " The smooth curve is a restricted cubic spline of the predicted risk, fitted to pseudo-observations of "
            "the observed risk; ICI, E50 and E90 are distances from it (Austin et al., Stat Med 2020;39:2714-2742)."
        )
        if replicates:
            told += f" Their intervals come from {replicates:,} bootstrap samples of the patients."
    if any(found["ranges"] for found in evaluated["calibration_measures"]):
        drawn = f"{replicates:,} times " if replicates else ""
        told += (
            " The ranges of perfectly calibrated risks were found by simulation: outcomes of the same patients were "
            f"drawn {drawn}as if every predicted risk were right, with the censoring and the competing events of this "
            "cohort, and measured in the same way. A value inside its range is what chance explains."
        )
    return told


def _usefulness(evaluated: Mapping[str, Any]) -> str:
    if not evaluated["decision"]:
        return ""
    if all(cell["paired"] for cell in evaluated["decision"]):
        credible = "the paired differences from treating all and from treating none both have intervals above zero"
    else:
        credible = "its interval lies above zero and above that of treating all (more than a paired comparison asks)"
    return (
        "Net benefit is the share of true positives less that of false positives weighed by the odds of the threshold "
        "(Vickers and Elkin, Med Decis Making 2006;26:565-574); patients with a competing event are without the event. "
        f"The model is called credibly better at a threshold only where {credible}."
    )


def _parts(evaluated: Mapping[str, Any]) -> str:
    """Added value, subgroups, means over landmarks and optimism, where there are any."""
    told = []
    if evaluated["averages"]:
        told.append("In means over landmarks, a patient who is at risk at several counts as one in standard errors.")
    if evaluated["added"]:
        told.append(
            "What each kind of data adds was measured by fitting the same model to more and more of the data, on the "
            "same folds; differences are paired."
        )
    if evaluated["subgroups"]:
        told.append(
            "In subgroups, a level is compared with all the other patients; p values are adjusted by Holm’s method "
            "over all levels and variables of one model, landmark, horizon and measure."
        )
    if evaluated["availability"]:
        told.append(
            "Patients of whom the same modalities were known were judged apart, with their own weights of censoring. "
            "Stated times to the event are conformal intervals from held-out predictions, censored patients counted by "
            "inverse probability (Candès, Lei and Ren, J R Stat Soc B 2023;85:24-45); an event is counted on the side "
            "of a bound on which it is known to lie, likewise weighted."
        )
    if evaluated["optimism"]:
        told.append(
            "Apparent performance was corrected for optimism by the bootstrap (Harrell, Lee and Mark, Stat Med "
            "1996;15:361-387): everything was done anew in every sample, and what the models lost from the sample to "
            "the original patients was taken away."
        )
    if evaluated["forecasts"]:
        told.append(
            "Biomarkers were forecast at the times of held-out patients’ later visits, and scored on the scale on "
            "which each is analysed; intervals take patients as clusters and hold the forecasts fixed."
        )
    return " ".join(told)
