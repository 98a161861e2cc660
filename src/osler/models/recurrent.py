"""Recurrent: the state of a patient after each visit, and the hazards and biomarkers that follow from it.

The risk is the equal mean of four answers that err differently. (A) A ridge path, linear in the record, the visits so
far, genomic components and what a network read from images. (B) Recurrent networks that correct it. (C) Recurrent
networks that are free of it, whose effects may change with time. (D) Boosted trees on what the networks' heads are
told. B and C are committees; each member leaves one inner fold of patients out and is kept as it was when it predicted
them best, so that the training patients alone decide how much is learned; so it is with the number of trees. Whatever
enters a network or a tree from an earlier step (image scores, the ridge path itself) was made without the patient it
describes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from inspect import Parameter, Signature, signature
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort, Patient
from osler.cohort.landmark import Landmark
from osler.cohort.split import assign_folds
from osler.config import Question
from osler.errors import ModelError
from osler.features.grid import training_landmarks
from osler.models.absence import Absence, Withheld
from osler.models.bands import Bands
from osler.models.base import RiskModel
from osler.models.batch import Masks
from osler.models.case_cohort import CaseCohort
from osler.models.checkpoint import Checkpoint
from osler.models.committee import Committee, Shape
from osler.models.device import training_device
from osler.models.forecast import ForecastPath, pairs, past
from osler.models.forecaster import COLUMNS, Forecaster, Known
from osler.models.hazard import FollowUp, bin_edges, event_rates, follow_up, incidence
from osler.models.hazard import steps as times
from osler.models.hazard_ridge import CauseRidge, RidgeFit, advantage, fit_ridge
from osler.models.hazard_trees import HazardTrees
from osler.models.image_reading import learn_to_read
from osler.models.inputs import Fused, HeadRows, Inputs
from osler.models.mixture import Mixture
from osler.models.network import Network, TrainingRows, checks_of, make_batch, tensor
from osler.models.recalibration import HazardRecalibration
from osler.models.recurrent_settings import RecurrentSettings
from osler.models.sanity import check_inputs, nothing_learned
from osler.models.training import History, Progress, train
from osler.survival.curve import RiskCurve
from osler.units import days

__all__ = ["Recurrent", "RecurrentSettings"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NEVER = -30.0  # log hazard of a cause without events inside the network; outside it is minus infinity
_LEAST_SPLINE_EVENTS = 100
_CLEARLY = 1.0  # standard errors by which a curved path must predict better to be the only one
_STEPS = 12  # most training landmarks between those asked, a tenth of the longest horizon apart or more
_CHUNK = 2000  # patients predicted at once
_LANDMARKS = 4  # up to which all patients of the setting are learned from
_VISITS, _LEAST_PATIENTS = 1_000_000, 1000  # most visits to learn from, unless these are fewer patients


class Recurrent(RiskModel):
    """The recurrent multimodal model.

    Args:
        question: landmarks and horizons.
        random_state: seed of folds, first weights, dropout and the order of batches; no global stream is touched.
        settings: any of ``RecurrentSettings``, by keyword.

    Attributes:
        chosen: the settings.
        progress: called with (epoch, epochs) while training, when set; not stored.
        history_: held-out loss of each member, first and best, and when it was best.
    """

    name: ClassVar[str] = "recurrent"
    label: ClassVar[str] = "Recurrent (Osler)"
    answers: ClassVar[int] = 3  # a path, straight or corrected; free networks; trees

    def __init__(self, question: Question, *, random_state: int = 0, **settings: Any) -> None:
        super().__init__(question, random_state=random_state)
        self.chosen = RecurrentSettings(**settings)
        self.progress: Progress | None = None

    def settings(self) -> dict[str, Any]:
        """Every setting, with its default where none was given."""
        return asdict(self.chosen)

    def _fit(self, cohort: Cohort) -> None:
        assert cohort.outcome is not None
        sample = CaseCohort.draw(cohort.outcome, self._most_patients(cohort), self.random_state)
        if sample.note:
            cohort = cohort.subset(sample.patient)
            self.notes_.append(sample.note)
        assert cohort.outcome is not None
        horizon = float(self.question.grid[-1])
        fold = assign_folds(cohort.outcome, min(self.chosen.members, len(cohort)), self.random_state, cohort.patients)
        unit = horizon / 10
        steps = int(np.clip(np.ceil(max(self.question.landmarks) / unit), 1, _STEPS))
        moments = training_landmarks(
            cohort, self.question, steps=steps, rows=self.chosen.rows, beyond=self.chosen.beyond
        )
        ahead = cohort.at(moments).outcome
        assert ahead is not None
        self.edges_ = bin_edges(ahead, horizon, self.chosen.bins)
        reading = learn_to_read(cohort, self.edges_, self.random_state)
        self.notes_ += reading.notes
        landmark = reading.cohort.at(moments)
        events = len(np.unique(landmark.patient[ahead.event > 0]))
        splines = self.chosen.splines if events >= _LEAST_SPLINE_EVENTS else 0
        self.inputs_ = Inputs(reading.readers, components=self.chosen.components, unit=unit, splines=splines).fit(
            landmark
        )
        fused, seen = self.inputs_.transform(landmark), follow_up(ahead, self.edges_)
        seen = seen.counting(sample.weight[landmark.patient])

        straight, curved = self._paths(fused.columns, seen, landmark.patient, fold)
        self.ridge_, self.curved_ = straight.causes, curved.causes
        self.absence_ = Absence.learn(
            self.inputs_.completion,
            fused.columns,
            fused.available,
            landmark.time,
            self.question.landmarks,
            seen,
            self.edges_,
            self.ridge_,
        )
        self._fit_networks(landmark, fused, seen, straight, curved, fold)
        self._fit_forecaster(reading.cohort, fold)

    def _paths(self, columns: Floats, seen: FollowUp, patient: Ints, fold: Ints) -> tuple[RidgeFit, RidgeFit]:
        """The straight path and the curved one; the same where there are no splines, or where they clearly help."""

        def path(*, splines: bool) -> RidgeFit:
            return fit_ridge(
                columns,
                self.inputs_.groups(splines=splines),
                self.inputs_.blocks(),
                seen,
                times(self.edges_),
                patient,
                fold[patient],
                len(self.causes_),
                doubted=self.inputs_.doubted(),
            )

        straight = path(splines=False)
        if not self.inputs_.splines:
            return straight, straight
        curved = path(splines=True)
        better = advantage(curved, straight, seen, times(self.edges_), patient) > _CLEARLY
        return (curved if better else straight), curved

    def _most_patients(self, cohort: Cohort) -> int:
        """Fewer than the setting where there are many landmarks or visits: what counts is rows and visits in memory."""
        most = self.chosen.patients * _LANDMARKS // max(_LANDMARKS, len(self.question.landmarks))
        return min(most, max(_LEAST_PATIENTS, _VISITS * len(cohort) // max(len(cohort.visits), 1)))

    def _fit_networks(
        self, landmark: Landmark, fused: Fused, seen: FollowUp, straight: RidgeFit, curved: RidgeFit, fold: Ints
    ) -> None:
        s, sequences = self.chosen, fused.sequences
        wide = [*landmark.known.genomics, *(n for n in landmark.known.images if n not in self.inputs_.readers)]
        self.head_ = HeadRows.of(self.inputs_, wide, len(self.causes_))
        unit = self.inputs_.unit
        path = ForecastPath(unit).fit(past(sequences, unit), pairs(sequences), sequences.final)
        over = np.repeat([1.0, 0.0], s.members)
        alpha = np.stack([cause.alpha for cause in curved.causes])
        base = np.where(over[:, None, None] == 1, alpha, event_rates(seen, len(self.causes_)))
        rows = TrainingRows(
            patient=landmark.patient,
            seen=seen,
            sequences=sequences,
            head=self.head_.transform(fused.columns, straight.held_out_parts),
            held_out=curved.held_out,
            base=np.maximum(base, _NEVER),
            over=over,
            gain=np.where(over == 1, s.correction, 1.0),
            fold=fold,
            left=np.tile(np.arange(s.members), 2),
            edges=self.edges_,
            path=path,
        )
        self.trees_, grown = HazardTrees.fit(
            self.head_.of_trees(fused.columns, rows.head),
            seen,
            landmark.time,
            landmark.patient,
            fold,
            len(self.causes_),
            most=s.trees,
            random_state=self.random_state,
        )
        committee = self._train(rows, self._masks(landmark))
        self.network_ = Network(committee, base, over, rows.gain)
        self._judge_left_out(landmark, fused, rows, grown)

    def _train(self, rows: TrainingRows, masks: Masks) -> Committee:
        s = self.chosen
        self._check(rows)
        generator = torch.Generator().manual_seed(self.random_state)
        groups = max(1, round(max(len(rows.patient), len(rows.sequences.time)) / s.batch_rows))
        group = torch.randperm(len(rows.fold), generator=generator).numpy() % groups
        batches = [make_batch(rows, group == g) for g in range(groups)]
        J = rows.sequences.values.shape[1]
        shape = Shape(
            members=len(rows.over),
            visit_inputs=rows.sequences.inputs.shape[1],
            row_inputs=rows.head.shape[1],
            state=s.units,
            head=s.units,
            causes=rows.base.shape[1],
            bins=rows.base.shape[2],
            forecasts=J,
            forecast_inputs=1 + 2 * J,
        )
        checkpoint, device = Checkpoint(self.checkpoint), training_device(s.device)
        committee, self.history_ = train(
            shape,
            batches,
            checks_of(rows),
            masks,
            s.recipe,
            generator,
            self.progress,
            device=device,
            checkpoint=checkpoint,
        )
        where = "" if device.type == "cpu" else f"The networks were trained on a device of type {device.type}."
        said = [*checkpoint.notes, where, nothing_learned(self.history_.first, self.history_.best)]
        self.notes_ += [note for note in said if note]
        return committee

    def _check(self, rows: TrainingRows) -> None:
        """Refuse inputs that no network can learn from, by the names of their columns."""
        own, causes = self.inputs_, self.causes_
        head = [own.columns_[i].name for i in self.head_.narrow]
        head += [f"{block}, risk of {cause}" for block in self.head_.scored for cause in causes]
        check_inputs("inputs of visits", rows.sequences.inputs, [column.name for column in own.visits.columns])
        check_inputs("inputs of rows", rows.head, head)
        check_inputs("risks of the ridge path", rows.held_out, causes)

    def _masks(self, landmark: Landmark) -> Masks:
        """Modalities of the inputs, and the head's inputs for a patient of whom nothing is known."""
        columns = self.inputs_.absent(self.schema_, landmark)[None]
        absent = self.head_.transform(columns, self._parts(columns))
        visit = [column.modality for column in self.inputs_.visits.columns]
        names = [name for name in dict.fromkeys([*visit, *self.head_.modality]) if name != "landmark"]
        number = {name: i for i, name in enumerate(names)}

        def index(modalities: Iterable[str]) -> torch.Tensor:
            return torch.tensor([number.get(name, -1) for name in modalities], dtype=torch.int64)

        return Masks(index(visit), index(self.head_.modality), tensor(absent[0]), len(names))

    def _parts(self, columns: Floats) -> dict[str, Floats]:
        """Block -> (R, K) its share of the ridge path's linear predictor."""
        return {
            name: np.stack([columns[:, members] @ cause.beta[members] for cause in self.ridge_], axis=1)
            for name, members in self.inputs_.blocks().items()
        }

    def _predict(self, landmark: Landmark) -> tuple[Floats, Floats, Floats]:
        shape = (len(landmark), len(self.causes_), len(self.question.grid))
        answer, lower, upper = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        landmark = self.inputs_.read(landmark)
        fused = self.inputs_.transform(landmark)
        for first in range(0, len(landmark.known), _CHUNK):
            chosen = np.zeros(len(landmark.known), dtype=bool)
            chosen[first : first + _CHUNK] = True
            rows = np.flatnonzero(chosen[landmark.patient])
            if len(rows):
                columns = fused.columns[rows]
                hazards = self._log_hazards(columns, fused.sequences.of_patients(chosen, rows))
                absent = self.absence_.of(fused.available, landmark.time, rows)
                answer[rows], variance = self._mixed(columns, absent, hazards)
                lower[rows], upper[rows] = self.bands_.of(answer[rows], variance)
        return answer, lower, upper

    def _mixed(
        self, columns: Floats, absent: Withheld, log_hazards: Iterable[tuple[Floats, float]]
    ) -> tuple[Floats, Floats]:
        """(R, K, T) mean incidence, and the variance of its log(-log(1 - F)) as far as it is known of the row."""
        mixture = Mixture((len(columns), len(self.causes_), len(self.question.grid)))
        for hazards, weight in log_hazards:
            recalibrated = self.recalibration_.applied(hazards)
            mixture.add(incidence(absent.applied(recalibrated, self.edges_), self.edges_, self.question.grid), weight)
        estimation = np.stack([cause.variance(columns) for cause in self.ridge_], axis=1)
        return mixture.mean(), mixture.disagreement() + (estimation + absent.doubt + absent.variance)[:, :, None]

    def _judge_left_out(self, landmark: Landmark, fused: Fused, rows: TrainingRows, grown: Floats) -> None:
        """Recalibration and bands, from what was said at the landmarks asked of patients left out; trees' is known."""
        asked = np.flatnonzero(np.isin(landmark.time, self.question.landmarks))
        said, here, seen = [*rows.left_out(self.network_, asked)], landmark.take(asked), rows.seen.take(asked)
        said += [grown[asked]] if self.chosen.trees else []
        fold = rows.fold[here.patient]
        self.recalibration_ = HazardRecalibration.learn(np.mean(said, axis=0), seen, here.patient, fold)
        absent = self.absence_.of(fused.available, landmark.time, asked)
        mean, variance = self._mixed(fused.columns[asked], absent, [(log_hazards, 1.0) for log_hazards in said])
        level = self.network_.base[0] + rows.held_out[asked, :, :1]
        free = 1 - mean.sum(axis=1)
        self.bands_ = Bands.learn(self.question, here, seen, self.edges_, level, variance[:, :, -1], free)

    def _log_hazards(self, columns: Floats, sequences: Any) -> Iterator[tuple[Floats, float]]:
        """(R, K, B) log hazards of the ridge path, the trees and each member; the weights of a kind have sum 1."""
        yield np.stack([cause.log_hazard(columns, times(self.edges_)) for cause in self.ridge_], axis=1), 1.0
        eta = np.stack([cause.eta(columns) for cause in self.curved_], axis=1)
        head = self.head_.transform(columns, self._parts(columns))
        if self.chosen.trees:
            yield self.trees_.log_hazard(self.head_.of_trees(columns, head)), 1.0
        for hazards in self.network_.log_hazards(sequences, head, eta, self.edges_):
            yield hazards, 1.0 / self.chosen.members

    @property
    def forecaster(self) -> Recurrent:
        """The model itself."""
        return self

    def forecast(self, cohort: Cohort | Patient, at: float | str, ahead: Iterable[float | str]) -> pd.DataFrame:
        """Where each numeric visit variable is heading, from what is known at the landmark ``at``.

        The forecast is of a patient who is still under observation by then; ``event_free`` tells how likely that is.

        Args:
            cohort: patients, whether still at risk or not; those without a visit so far have no forecast.
            at: days from the time origin, or a duration such as "6y".
            ahead: times after the landmark, likewise.

        Returns:
            One row per patient, variable and time, with columns patient (position in the cohort), variable, ahead
            (days after the landmark), expected, lower and upper, the 90 % band of a new measurement, and event_free,
            the probability of no event of any cause until then (NaN past the last horizon). In the units of the
            variables; for those that are analysed as logarithms the expected value is the median. Variables never
            measured in the patient so far have no rows.

        Raises:
            ModelError: before ``fit``.
        """
        everyone = cohort.cohort if isinstance(cohort, Patient) else cohort
        times = np.array([days(time) for time in ahead], dtype=float)
        patient = np.repeat(np.arange(len(everyone)), len(times))
        table = self.forecast_at(everyone, at, patient, np.tile(times, len(everyone)))
        free = self.predict(everyone, at, at_risk=False).event_free_at(times)
        column = np.tile(np.arange(len(times)), len(everyone))[table["row"]]
        return table.drop(columns="row").assign(event_free=free[table["patient"], column])

    def forecast_at(self, cohort: Cohort, at: float | str, patient: Ints, ahead: Floats) -> pd.DataFrame:
        """Forecasts of each patient at moments of the patient's own, such as those of later visits.

        Args:
            cohort: patients, as in ``forecast``.
            at: the landmark, likewise.
            patient: (Q,) positions in the cohort.
            ahead: (Q,) days after the landmark.

        Returns:
            The columns of ``forecast`` without event_free, and row, the position among the Q asked.

        Raises:
            ModelError: before ``fit``.
        """
        if not hasattr(self, "forecaster_"):
            raise ModelError(f"{self.label} has not been fitted")
        moment = days(at)
        landmark = self.inputs_.read(self.schema_.conform(cohort).at(moment, at_risk=False))
        table = self.forecaster_.predict(self._known(landmark), patient, moment + ahead)
        row = table["row"].to_numpy()
        return table.assign(patient=patient[row], ahead=ahead[row])[["row", *COLUMNS]]

    def _fit_forecaster(self, read: Cohort, fold: Ints) -> None:
        """Learn forecasts from every visit, those after the last landmark too; images were read."""
        last = float(read.visits["time"].max()) if len(read.visits) else 0.0
        known = self._known(read.at(last, at_risk=False))
        self.forecaster_ = Forecaster(self.inputs_.unit).fit(known, self.inputs_.visits.forecastable, fold)

    def _known(self, landmark: Landmark) -> Known:
        """What forecasts stand on; the landmark has one row of every patient, its images read."""
        return Known(landmark.known, self.inputs_.sequences(landmark), self.inputs_.design.record(landmark))

    def event_times(self, curve: RiskCurve) -> tuple[Floats, Floats]:
        """Conformal intervals; see the base class and ``osler.models.conformal``."""
        return self.bands_.times.interval(curve.event_free, curve.times, curve.landmark)

    def state(self) -> dict[str, Any]:
        """Everything learned."""
        return {
            "edges": self.edges_,
            "inputs": self.inputs_.state(),
            "bands": self.bands_.state(),
            "recalibration": self.recalibration_.state(),
            "absence": self.absence_.state(),
            "ridge": [cause.state() for cause in self.ridge_],
            "curved": [cause.state() for cause in self.curved_],
            "head": self.head_.state(),
            "trees": self.trees_.state(),
            "forecaster": self.forecaster_.state(),
            "network": self.network_.state(),
            "history": asdict(self.history_),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        self.edges_ = state["edges"]
        self.inputs_ = Inputs.from_state(state["inputs"], self.schema_)
        self.bands_ = Bands.from_state(state["bands"])
        self.recalibration_ = HazardRecalibration.from_state(state["recalibration"])
        self.absence_ = Absence.from_state(state["absence"])
        self.ridge_ = tuple(CauseRidge.from_state(cause) for cause in state["ridge"])
        self.curved_ = tuple(CauseRidge.from_state(cause) for cause in state["curved"])
        self.head_ = HeadRows.from_state(state["head"])
        self.trees_ = HazardTrees.from_state(state["trees"])
        self.forecaster_ = Forecaster.from_state(state["forecaster"])
        self.network_ = Network.from_state(state["network"])
        self.history_ = History(**{name: tuple(values) for name, values in state["history"].items()})


def _spelled_out() -> Signature:
    """The constructor with every setting by name, for those who ask what may be set."""
    own = [p for p in signature(Recurrent.__init__).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
    settings = [
        Parameter(item.name, Parameter.KEYWORD_ONLY, default=item.default, annotation=item.type)
        for item in fields(RecurrentSettings)
    ]
    return Signature([*own, *settings])


setattr(Recurrent.__init__, "__signature__", _spelled_out())  # noqa: B010
