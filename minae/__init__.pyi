"""What `minae` exports, for type checkers, which run nothing: __init__.py collects the models as they are found.

tests/test_types.py compares this list with theirs.
"""

from typing import Any

from minae import data as data
from minae import exact as exact
from minae import plots as plots
from minae import training as training
from minae.checks import check_gradient as check_gradient
from minae.checks import enumerated as enumerated
from minae.effects import check_effects as check_effects
from minae.errors import Diverged as Diverged
from minae.errors import InputError as InputError
from minae.models import Autoencoder as Autoencoder
from minae.models import Model as Model
from minae.models import load as load
from minae.models.abstractive import AbstractiveAutoencoder as AbstractiveAutoencoder
from minae.models.adversarial import AdversarialAutoencoder as AdversarialAutoencoder
from minae.models.batch_top_k import BatchTopKAutoencoder as BatchTopKAutoencoder
from minae.models.byte_classifier import ByteClassifier as ByteClassifier
from minae.models.byte_denoising import ByteDenoising as ByteDenoising
from minae.models.classifier import Classifier as Classifier
from minae.models.compressive import CompressiveAutoencoder as CompressiveAutoencoder
from minae.models.contractive import ContractiveAutoencoder as ContractiveAutoencoder
from minae.models.contractive_h import HigherOrderContractiveAutoencoder as HigherOrderContractiveAutoencoder
from minae.models.cycle import CycleConsistent as CycleConsistent
from minae.models.deep_svdd import DeepSVDD as DeepSVDD
from minae.models.denoising import DenoisingAutoencoder as DenoisingAutoencoder
from minae.models.diffusion import DiffusionModel as DiffusionModel
from minae.models.discrete import DiscreteAutoencoder as DiscreteAutoencoder
from minae.models.distilled import DistilledClassifier as DistilledClassifier
from minae.models.domain_adversarial import DomainAdversarialClassifier as DomainAdversarialClassifier
from minae.models.extractive import ExtractiveAutoencoder as ExtractiveAutoencoder
from minae.models.gated import GatedAutoencoder as GatedAutoencoder
from minae.models.generative_adversarial import GenerativeAdversarial as GenerativeAdversarial
from minae.models.hashing import SemanticHashingAutoencoder as SemanticHashingAutoencoder
from minae.models.jump_relu import JumpReLUAutoencoder as JumpReLUAutoencoder
from minae.models.k_sparse import KSparseAutoencoder as KSparseAutoencoder
from minae.models.language import LanguageModel as LanguageModel
from minae.models.lista import LISTA as LISTA
from minae.models.predictive_sparse import PredictiveSparseDecomposition as PredictiveSparseDecomposition
from minae.models.slow_feature import SlowFeatureAutoencoder as SlowFeatureAutoencoder
from minae.models.sparse import SparseAutoencoder as SparseAutoencoder
from minae.models.stacked import copy_encoder as copy_encoder
from minae.models.stacked import copy_shared as copy_shared
from minae.models.stacked import pretrain as pretrain
from minae.models.stacked import widen_sigmoids as widen_sigmoids
from minae.models.tabular import TabularClassifier as TabularClassifier
from minae.models.tabular_autoencoder import TabularAutoencoder as TabularAutoencoder
from minae.models.total_correlation import TotalCorrelationAutoencoder as TotalCorrelationAutoencoder
from minae.models.undercomplete import UndercompleteAutoencoder as UndercompleteAutoencoder
from minae.models.variational import VariationalAutoencoder as VariationalAutoencoder
from minae.models.vector_quantized import VectorQuantizedAutoencoder as VectorQuantizedAutoencoder
from minae.models.voice import VoiceAutoencoder as VoiceAutoencoder
from minae.recipes import pretrained as pretrained

__version__: str
kernels: Any  # in the repository it lies beside minae, where a checker does not look
__all__: list[str]
