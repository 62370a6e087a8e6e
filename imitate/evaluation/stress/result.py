"""stress.json: the episodes of a sweep, a row for each perturbation and size, and what follows from them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imitate.errors import DataError
from imitate.evaluation.result import RolloutResult
from imitate.evaluation.statistics import PairedRates
from imitate.evaluation.stress.halving import Halving, halving
from imitate.evaluation.stress.kinds import KINDS, PLAIN
from imitate.page.shell import write_whole

FILE_NAME = "stress.json"


@dataclass(frozen=True)
class Cell:
    """The episodes of one perturbation at one size; size 0 of PLAIN are the unperturbed ones."""

    kind: str
    size: float
    result: RolloutResult


@dataclass(frozen=True)
class StressResult:
    """All cells of a sweep, the unperturbed one first.

    noise: {"unit", "words", "values"} of the sizes of noise (see imitate.evaluation.stress.spread).
    left_out: why a perturbation, or one size of it, is not in the sweep.
    """

    cells: tuple[Cell, ...]
    noise: Mapping[str, Any]
    left_out: tuple[str, ...] = ()
    films: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def plain(self) -> RolloutResult:
        """The unperturbed episodes; raises DataError where there are none yet."""
        found = self.find(PLAIN, 0.0)
        if found is None:
            raise DataError("the sweep has no unperturbed episodes yet: run it to its end")
        return found

    def find(self, kind: str, size: float) -> RolloutResult | None:
        """The episodes of a cell, None where it was not played."""
        return next((c.result for c in self.cells if (c.kind, c.size) == (kind, size)), None)

    def of_kind(self, kind: str) -> list[Cell]:
        """The unperturbed cell and those of `kind`, from small to large."""
        cells = sorted((c for c in self.cells if c.kind == kind), key=lambda cell: cell.size)
        return [Cell(PLAIN, 0.0, self.plain), *cells]

    @property
    def kinds(self) -> list[str]:
        """The perturbations that were played, in the order of KINDS."""
        there = {cell.kind for cell in self.cells}
        return [kind for kind in KINDS if kind in there]

    def unit(self, kind: str) -> str:
        """What stands behind a size."""
        return str(self.noise["unit"]) if kind == "noise" else KINDS[kind].unit

    def halving(self, kind: str) -> Halving:
        """Where success halves."""
        cells = self.of_kind(kind)
        return halving([c.size for c in cells], [[e.success for e in c.result.episodes] for c in cells])

    def against_plain(self, cell: Cell) -> PairedRates:
        """The outcomes of the unperturbed episodes (a) and of `cell` (b), seed by seed."""
        won = {episode.seed: episode.success for episode in self.plain.episodes}
        pairs = [(won[e.seed], e.success) for e in cell.result.episodes if e.seed in won]
        return PairedRates.count([a for a, _ in pairs], [b for _, b in pairs])

    def with_cell(self, cell: Cell) -> "StressResult":
        """The sweep with one more cell."""
        return replace(self, cells=(*self.cells, cell))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` is its inverse. What follows from the rows stands first."""
        plain = self.plain
        return {
            "success_rate": plain.success_rate,
            "interval": list(plain.interval),
            "halving": [
                {"kind": kind, "unit": self.unit(kind), **self.halving(kind).to_json()} for kind in self.kinds
            ],
            "noise": dict(self.noise),
            "left_out": list(self.left_out),
            "films": {kind: dict(film) for kind, film in self.films.items()},
            "rows": [self._row(cell) for cell in self.cells],
            "provenance": dict(plain.provenance),
        }

    def _row(self, cell: Cell) -> dict[str, Any]:
        pair = self.against_plain(cell)
        against = {
            "difference": pair.difference,
            "difference_interval": list(pair.interval()),
            "p_value": pair.p_value(),
        }
        return {"kind": cell.kind, "size": cell.size, **against, **cell.result.to_json()}

    @classmethod
    def from_json(cls, value: Any) -> "StressResult":
        """Read what `to_json` wrote; raises DataError where it is malformed."""
        try:
            cells = tuple(_cell(row) for row in value["rows"])
            left_out, noise = tuple(map(str, value["left_out"])), dict(value["noise"])
            films = {str(kind): dict(film) for kind, film in value["films"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"a part is missing or malformed: {error!r}") from error
        result = cls(cells, noise, left_out, films)
        if unknown := {cell.kind for cell in cells} - {PLAIN, *KINDS}:
            raise DataError(f"unknown perturbation {sorted(unknown)[0]!r}")
        if not {"unit", "words", "values"} <= noise.keys() or len(result.plain.episodes) == 0:
            raise DataError("noise has no unit, words or values")
        return result


def _cell(row: Mapping[str, Any]) -> Cell:
    return Cell(str(row["kind"]), float(row["size"]), RolloutResult.from_json(row))


def save(result: StressResult, folder: Path) -> None:
    """Write `folder`/stress.json, whole or not at all; one line per row."""
    whole = result.to_json()
    head = {key: value for key, value in whole.items() if key not in ("rows", "provenance")}
    lines = [json.dumps(row, ensure_ascii=False) for row in whole["rows"]]
    parts = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    rows = '"rows": [\n' + ",\n".join(lines) + "\n]"
    origin = f'"provenance": {json.dumps(whole["provenance"], ensure_ascii=False)}'
    write_whole(folder / FILE_NAME, "{\n" + ",\n".join([*parts, rows, origin]) + "\n}\n")


def load(path: Path | str) -> StressResult:
    """The sweep in a stress.json, or in the folder that holds one.

    Raises DataError, naming the file, where it is absent, truncated or something else.
    """
    path = Path(path)
    path = path / FILE_NAME if path.is_dir() else path
    try:
        return StressResult.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    except DataError as error:
        raise DataError(f"{path} is not the result of a sweep: {error}") from error
