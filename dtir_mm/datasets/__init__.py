"""Data sets, degradations and transforms; importing this package registers them."""

from dtir_mm.datasets.blind_photos import BlindPhotosDataset, HideTask
from dtir_mm.datasets.concat import ConcatDataset
from dtir_mm.datasets.degradations import DEGRADATIONS
from dtir_mm.datasets.paired_folder import PairedFolderDataset
from dtir_mm.datasets.photos import CleanPhotosDataset, DegradedPhotosDataset
from dtir_mm.datasets.task_mixture import TaskMixtureDataset
from dtir_mm.datasets.transforms import PackSample, RandomFlipTurn, RandomPatch, RandomStrength

__all__ = [
    'DEGRADATIONS',
    'BlindPhotosDataset',
    'CleanPhotosDataset',
    'ConcatDataset',
    'DegradedPhotosDataset',
    'HideTask',
    'PackSample',
    'PairedFolderDataset',
    'RandomFlipTurn',
    'RandomPatch',
    'RandomStrength',
    'TaskMixtureDataset',
]
