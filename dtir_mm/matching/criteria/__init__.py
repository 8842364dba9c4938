"""The criteria of matching; importing this package registers them in ``CRITERIA``."""

from dtir_mm.matching.criteria.linear_probe import LinearProbe
from dtir_mm.matching.criteria.probe_train import ProbeTrain
from dtir_mm.matching.criteria.score import Score
from dtir_mm.matching.criteria.sdedit import SDEdit
from dtir_mm.matching.criteria.trajectory import Trajectory

__all__ = ['LinearProbe', 'ProbeTrain', 'SDEdit', 'Score', 'Trajectory']
