"""The rows of the suite."""

from .convolutional import ConvBatchNorm, LargeCnn, MnistCnn
from .dense import DeepAutoencoder, LargeMlp, Mlp, TinyMlp
from .elementwise import Gelu, LayerNormSoftmax, TinyChain
from .recurrent import Addition, CharacterModel, Gru, LargeCharacterModel, LargerCharacterModel
from .transformer import Encoder, LargeEncoder
from .trees import RecursiveTree, TreesByDepth
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
        TreesByDepth,
        LargeCharacterModel,
        LargerCharacterModel,
        LargeMlp,
        LargeCnn,
        LargeEncoder,
    )
}

__all__ = ["WORKLOADS", "Workload"]
