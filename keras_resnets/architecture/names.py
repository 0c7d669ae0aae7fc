"""A layer name is an address: one pattern reads it, one format writes it.

``conv3_block2_1_conv`` is the convolution in slot 1 of block 2 of stage conv3. Names are a file
format: checkpoints are joined to networks by them, so a released name never changes.
"""

import re
from typing import NamedTuple

_PATTERN = re.compile(
    r"(?P<stage>[a-z]+\d*)"
    r"(_block(?P<block>\d+))?"
    r"(_(?P<slot>\d+|preact|path|se(_\d+)?))?"
    r"(_(?P<role>conv|bn|gn|relu|sigmoid|pad|pool|drop|add|out))?"
)


def join(*parts: object) -> str:
    """Write a name from its parts, leaving out those that are None.

    >>> join("conv3_block2", 1, "conv")
    'conv3_block2_1_conv'
    """
    return "_".join(str(part) for part in parts if part is not None)


class Address(NamedTuple):
    """Where a layer stands in a residual network.

    Attributes:
        stage: ``conv1`` to ``conv5``, ``pool1``, ``post``, ``predictions``...
        block: 1, 2, ... inside a stage; None outside the stages.
        slot: ``0`` is the shortcut, ``1``, ``2``, ... the convolutions, ``preact`` what comes first, ``se``,
            ``se_1``, ``se_2`` squeeze-and-excitation, ``path`` stochastic depth.
        role: ``conv``, ``bn``, ``gn``, ``relu``, ``sigmoid``, ``pad``, ``pool``, ``drop``, ``add``, ``out``.

    >>> Address.parse("conv3_block2_1_conv")
    Address(stage='conv3', block=2, slot='1', role='conv')
    >>> str(Address("conv3", 2, "1", "conv"))
    'conv3_block2_1_conv'
    """

    stage: str
    block: int | None = None
    slot: str | None = None
    role: str | None = None

    def __str__(self) -> str:
        return join(self.stage, self.block and f"block{self.block}", self.slot, self.role)

    @classmethod
    def parse(cls, name: str) -> "Address | None":
        """Read a layer name; None when it is not an address."""
        found = _PATTERN.fullmatch(name)
        if not found:
            return None
        block = found["block"]
        return cls(found["stage"], block and int(block), found["slot"], found["role"])
