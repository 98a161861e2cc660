"""Planning: what could be done for a patient, by how much it would help, and on what evidence."""

from osler.planning.action import Action, actions_of
from osler.planning.effect import Effect, apply_effects
from osler.planning.plans import Interval, Plan, PlannedAction, plan

__all__ = ["Action", "Effect", "Interval", "Plan", "PlannedAction", "actions_of", "apply_effects", "plan"]
