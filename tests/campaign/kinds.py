"""All kinds of attack, by name."""

from tests.campaign.attacks import Kind
from tests.campaign.boards import BOARDS
from tests.campaign.disks import DISKS
from tests.campaign.grids import GRIDS
from tests.campaign.neighbours import LOST_RANKS, TWO_RUNS, TWO_USERS
from tests.campaign.runs import KILLS, SIGNALS
from tests.campaign.strangers import STRANGERS
from tests.campaign.videos import VIDEOS

_ALL = (VIDEOS, KILLS, SIGNALS, GRIDS, DISKS, TWO_RUNS, TWO_USERS, LOST_RANKS, BOARDS, *STRANGERS)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}
