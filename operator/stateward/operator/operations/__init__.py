"""What is done with a service, in the order in which it is asked for: the first that wants a step gets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stateward.operator.operations.carry import carry
from stateward.operator.operations.finish import finish
from stateward.operator.operations.form import form
from stateward.operator.operations.grow import grow
from stateward.operator.operations.replace import lost, replace
from stateward.operator.operations.rolling import mend, rolling
from stateward.operator.operations.rotate import rotate
from stateward.operator.operations.scale import scale
from stateward.operator.operations.settings import settings
from stateward.operator.operations.steer import steer
from stateward.operator.operations.switchover import switchover
from stateward.operator.operations.tidy import tidy
from stateward.operator.operations.upgrade import upgrade
from stateward.operator.turn import Operation

OPERATIONS: Final[Sequence[Operation]] = (
    steer,
    mend,
    form,
    replace,
    grow,
    lost,
    settings,
    carry,
    rolling,
    scale,
    tidy,
    finish,
    upgrade,
    switchover,
    rotate,
)
