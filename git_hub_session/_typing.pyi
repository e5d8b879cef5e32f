from typing import TYPE_CHECKING as TYPE_CHECKING
from typing import Any as Any
from typing import NamedTuple as NamedTuple
from typing import NewType as NewType
from typing import NoReturn as NoReturn
from typing import Protocol as Protocol
from typing import Self as Self
from typing import TextIO as TextIO
