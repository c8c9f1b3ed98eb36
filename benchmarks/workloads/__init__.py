"""The rows of the suite."""

from .convolutional import ConvBatchNorm, MnistCnn
from .dense import DeepAutoencoder, Mlp, TinyMlp
from .elementwise import Gelu, LayerNormSoftmax, TinyChain
from .recurrent import Addition, CharacterModel, Gru
from .transformer import Encoder
from .trees import RecursiveTree
from .workload import Workload

WORKLOADS: dict[str, type[Workload]] = {
    row.name: row
    for row in (
        TinyChain,
        Mlp,
        TinyMlp,
        MnistCnn,
        DeepAutoencoder,
        CharacterModel,
        Addition,
        Gru,
        Encoder,
        ConvBatchNorm,
        Gelu,
        LayerNormSoftmax,
        RecursiveTree,
    )
}

__all__ = ["WORKLOADS", "Workload"]
