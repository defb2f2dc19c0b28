"""The vital signs that Vitaledger knows: codes, units, names and sensible limits. A table without I/O.

A sign has a 32-bit ISO/IEEE 11073-10101 code (partition * 65,536 + term), the RefId where it is known, LOINC codes
(the first is the preferred one) and the unit code that a chart is drawn in. `chart` is the range that a chart shows
when nothing else is asked for; `plausible` are the limits outside which a value of a line *without checksum* is more
likely a transmission error than a patient. A value outside is marked, never dropped or changed.

Codes marked (?) below were not found in a public source; they stand as 0 here, and a code of 0 is never looked up:
SpCO (a RefId MDC_PULS_OXIM_HB_CO_ART is published, its number is not), SpMet, PVI, the desaturation index and the
change of the perfusion index. The LOINC columns of these are empty for the same reason.
Unit codes of mL, cm[H2O], 1 and mmol/L were found in published HL7 messages and nomenclature tables; L/min is
4 * 65,536 + 3,072 by the numbering of dimensions in 11073-10101.

>>> by_code(150456).name, by_code(150456).loinc
('spo2', ('59408-5', '2708-6'))
>>> describe(149530)
'pulse rate (149530 MDC_PULS_OXIM_PULS_RATE, /min)'
>>> describe(12345)
'code 12345'
>>> unit(266016).ucum, unit(266016).display
('mm[Hg]', 'mmHg')
>>> by_name('spo2').is_plausible(98), by_name('spo2').is_plausible(127)
(True, False)
>>> by_name('perfusion-index').is_plausible(360, -2)
True
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure: 32-bit MDC code, UCUM code and what people read."""

    code: int
    refid: str
    ucum: str
    display: str


@dataclass(frozen=True, slots=True)
class Sign:
    """A vital sign. `chart` and `plausible` are (lowest, highest), both included, in `unit`."""

    name: str
    title: str
    code: int
    refid: str | None
    loinc: tuple[str, ...]
    unit: int
    chart: tuple[int, int]
    plausible: tuple[int, int]

    @property
    def ucum(self) -> str:
        """The UCUM code of the sign's unit."""
        return UNITS[self.unit].ucum

    @property
    def display_unit(self) -> str:
        """The unit as people read it; empty for a plain number."""
        return UNITS[self.unit].display

    def is_plausible(self, value: int, exponent: int = 0) -> bool:
        """Say whether value * 10**exponent lies in `plausible`, without rounding."""
        low, high = self.plausible
        if exponent < 0:
            scale: int = 10**-exponent
            return low * scale <= value <= high * scale
        shifted: int = value * 10**exponent
        return low <= shifted <= high


PERCENT = 262688
PER_MINUTE = 264864
BREATHS = 264928
MMHG = 266016
CELSIUS = 268192
KILOGRAM = 263875
MG_PER_DL = 264274
MMOL_PER_L = 266866
MILLILITRE = 263762
LITRE_PER_MINUTE = 265216
CM_H2O = 266048
DIMENSIONLESS = 262656


def _units(*units: Unit) -> Mapping[int, Unit]:
    return MappingProxyType({each.code: each for each in units})


UNITS: Mapping[int, Unit] = _units(
    Unit(PERCENT, "MDC_DIM_PERCENT", "%", "%"),
    Unit(PER_MINUTE, "MDC_DIM_BEAT_PER_MIN", "/min", "/min"),
    Unit(BREATHS, "MDC_DIM_RESP_PER_MIN", "/min", "/min"),
    Unit(MMHG, "MDC_DIM_MMHG", "mm[Hg]", "mmHg"),
    Unit(CELSIUS, "MDC_DIM_DEGC", "Cel", "°C"),
    Unit(KILOGRAM, "MDC_DIM_KILO_G", "kg", "kg"),
    Unit(MG_PER_DL, "MDC_DIM_MILLI_G_PER_DL", "mg/dL", "mg/dL"),
    Unit(MMOL_PER_L, "MDC_DIM_MILLI_MOLE_PER_L", "mmol/L", "mmol/L"),
    Unit(MILLILITRE, "MDC_DIM_MILLI_L", "mL", "mL"),
    Unit(LITRE_PER_MINUTE, "MDC_DIM_L_PER_MIN", "L/min", "L/min"),
    Unit(CM_H2O, "MDC_DIM_CM_H2O", "cm[H2O]", "cmH₂O"),
    Unit(DIMENSIONLESS, "MDC_DIM_DIMLESS", "1", ""),
)

# name, title, code, RefId, LOINC, unit, chart range, plausible range
SIGNS: tuple[Sign, ...] = (
    Sign("spo2", "SpO₂", 150456, "MDC_PULS_OXIM_SAT_O2", ("59408-5", "2708-6"), PERCENT, (80, 100), (20, 100)),
    Sign(
        "pulse-rate",
        "pulse rate",
        149530,
        "MDC_PULS_OXIM_PULS_RATE",
        ("8889-8", "8867-4"),
        PER_MINUTE,
        (40, 160),
        (18, 321),
    ),
    Sign("heart-rate", "heart rate", 147842, "MDC_ECG_HEART_RATE", ("8867-4",), PER_MINUTE, (40, 160), (10, 350)),
    Sign(
        "perfusion-index", "perfusion index", 150448, "MDC_PULS_OXIM_PERF_REL", ("61006-3",), PERCENT, (0, 10), (0, 30)
    ),
    Sign("pleth", "pleth wave", 150452, "MDC_PULS_OXIM_PLETH", (), DIMENSIONLESS, (0, 65535), (0, 65535)),
    Sign("nibp-systolic", "NIBP systolic", 150021, "MDC_PRESS_BLD_NONINV_SYS", ("8480-6",), MMHG, (60, 200), (25, 300)),
    Sign(
        "nibp-diastolic", "NIBP diastolic", 150022, "MDC_PRESS_BLD_NONINV_DIA", ("8462-4",), MMHG, (30, 130), (10, 250)
    ),
    Sign("nibp-mean", "NIBP mean", 150023, "MDC_PRESS_BLD_NONINV_MEAN", ("8478-0",), MMHG, (40, 160), (15, 270)),
    Sign("temperature", "temperature", 150344, "MDC_TEMP", ("8310-5",), CELSIUS, (34, 41), (15, 46)),
    Sign("respiratory-rate", "respiratory rate", 151562, "MDC_RESP_RATE", ("9279-1",), BREATHS, (0, 40), (0, 200)),
    Sign("etco2", "EtCO₂", 151708, "MDC_CONC_AWAY_CO2_ET", ("19891-1",), MMHG, (0, 60), (0, 150)),
    Sign(
        "glucose-whole-blood",
        "glucose, capillary whole blood",
        160184,
        "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD",
        ("41653-7",),
        MG_PER_DL,
        (40, 300),
        (10, 900),
    ),
    Sign(
        "glucose-plasma",
        "glucose, capillary, plasma-calibrated",
        160188,
        "MDC_CONC_GLU_CAPILLARY_PLASMA",
        ("41653-7",),
        MG_PER_DL,
        (40, 300),
        (10, 900),
    ),
    Sign("body-weight", "body weight", 188736, "MDC_MASS_BODY_ACTUAL", ("29463-7",), KILOGRAM, (0, 150), (0, 400)),
    Sign("tidal-volume", "tidal volume delivered", 151980, None, ("76222-9",), MILLILITRE, (0, 1000), (0, 4000)),
    Sign(
        "tidal-volume-exhaled",
        "tidal volume exhaled",
        151868,
        "MDC_VOL_AWAY_TIDAL",
        ("75958-9",),
        MILLILITRE,
        (0, 1000),
        (0, 4000),
    ),
    Sign("tidal-volume-setting", "tidal volume setting", 16929196, None, (), MILLILITRE, (0, 1000), (0, 4000)),
    Sign(
        "minute-volume-inspired",
        "minute volume inspired",
        152004,
        None,
        ("76009-0",),
        LITRE_PER_MINUTE,
        (0, 20),
        (0, 100),
    ),
    Sign(
        "minute-volume-exhaled",
        "minute volume exhaled",
        152000,
        None,
        ("76008-2",),
        LITRE_PER_MINUTE,
        (0, 20),
        (0, 100),
    ),
    Sign("peep", "PEEP", 151976, None, ("76248-4",), CM_H2O, (0, 20), (-10, 60)),
    Sign("peak-pressure", "peak inspiratory pressure", 151973, None, ("76531-3",), CM_H2O, (0, 50), (-20, 140)),
    Sign("fio2", "FiO₂", 152196, "MDC_CONC_AWAY_O2_INSP", ("3150-0",), PERCENT, (21, 100), (15, 100)),
    Sign("spco", "SpCO", 0, "MDC_PULS_OXIM_HB_CO_ART", (), PERCENT, (0, 20), (0, 99)),  # (?)
    Sign("spmet", "SpMet", 0, None, (), PERCENT, (0, 10), (0, 99)),  # (?)
    Sign("pvi", "pleth variability index", 0, None, (), PERCENT, (0, 40), (0, 100)),  # (?)
    Sign("desaturation-index", "desaturation index", 0, None, (), DIMENSIONLESS, (0, 24), (0, 99)),  # (?)
    Sign("perfusion-delta", "change of perfusion index", 0, None, (), PERCENT, (-99, 99), (-99, 99)),  # (?)
)


def _index(signs: Iterable[Sign]) -> Mapping[int, Sign]:
    return MappingProxyType({sign.code: sign for sign in signs if sign.code})


_BY_CODE = _index(SIGNS)
_BY_NAME: Mapping[str, Sign] = MappingProxyType({sign.name: sign for sign in SIGNS})
_BY_LOINC: Mapping[str, Sign] = MappingProxyType(
    {code: sign for sign in reversed(SIGNS) for code in sign.loinc}
    | {sign.loinc[0]: sign for sign in reversed(SIGNS) if sign.loinc}  # whose own code it is goes first
)


def by_code(code: int) -> Sign | None:
    """Find the sign with this 32-bit MDC code; None where there is none, and for 0."""
    return _BY_CODE.get(code)


def by_name(name: str) -> Sign:
    """Find a sign by its name here, as ``spo2``. Raise KeyError for another name."""
    return _BY_NAME[name]


def by_loinc(code: str) -> Sign | None:
    """Find the sign that bears this LOINC code; of several, the first that prefers it."""
    return _BY_LOINC.get(code)


def unit(code: int) -> Unit | None:
    """Find a unit by its 32-bit MDC code."""
    return UNITS.get(code)


def describe(code: int) -> str:
    """Name a 32-bit MDC code, of a sign or a unit, for people; an unknown one is told as its number."""
    sign = _BY_CODE.get(code)
    if sign is not None:
        known = f"{code} {sign.refid}" if sign.refid else str(code)
        return f"{sign.title} ({known}{', ' + sign.display_unit if sign.display_unit else ''})"
    found = UNITS.get(code)
    if found is not None:
        return f"{found.ucum} ({code} {found.refid})"
    return f"code {code}"
