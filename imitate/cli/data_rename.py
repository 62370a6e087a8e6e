"""imitate data rename: call observations, episodes, elements, units or the rate differently, as a view.

    imitate collect env=tabletop/pick_place episodes=3 seed=0 out=demos.zarr
    imitate data rename data.path=demos.zarr 'observations={ee_pos: eef_pos}' out=renamed.view.json
    imitate data rename data.path=renamed.view.json 'units={eef_pos: [m, m, m]}' out=units.view.json
    imitate data rename data.path=units.view.json rate_hz=20 out=rated.view.json
    imitate data rename data.path=rated.view.json 'parts={height: [eef_pos.ee_z]}' out=parts.view.json

No number is changed: units and rate say what the numbers are, they do not convert them. Nothing is copied,
and the store stays as it is.

Keys:
    data.path       the store, or a view of one
    out             the new view, e.g. renamed.view.json
    observations    {old: new}
    ids             {old: new} of episodes
    elements        {array: [name, …]}, one for each element; the action is called action
    units           {array: [unit, …]}, one for each element
    rate_hz         how many steps make a second
    parts           {new: [observation.element, …]}: an observation that repeats elements of another one;
                    where elements have no names, their numbers: {agent_pos: [state.0, state.1]}
"""

from collections.abc import Mapping
from dataclasses import dataclass

from imitate.cli.command import Outcome
from imitate.cli.data_source import EditedData, out_path, view_of
from imitate.datasets.opening import open_store
from imitate.datasets.views.making import derive
from imitate.datasets.views.operations import Rename
from imitate.errors import ConfigError
from imitate.progress import Progress


@dataclass(frozen=True)
class DataRenameCommand:
    """The settings of `imitate data rename`; see the module."""

    data: EditedData
    out: str
    observations: Mapping[str, str] | None
    ids: Mapping[str, str] | None
    elements: Mapping[str, tuple[str, ...]] | None
    units: Mapping[str, tuple[str, ...]] | None
    rate_hz: float | None
    parts: Mapping[str, tuple[str, ...]] | None

    def run(self, progress: Progress) -> Outcome:
        """Write the view."""
        operation = Rename(
            self.observations or {},
            self.ids or {},
            self.elements or {},
            self.units or {},
            self.rate_hz,
            self.parts or {},
        )
        if operation == Rename():
            raise ConfigError("nothing to rename: add  'observations={old: new}'  or another key; see --help")
        with open_store(self.data.path) as store:
            return view_of(derive(store, [operation], out_path(self.out)), store)
