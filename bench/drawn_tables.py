"""Tables for tables.py: those that scikit-learn ships, and ones drawn by program, like well-known ones.

The drawn ones have what tables of people have: names with blanks, text columns, gaps, rare classes, skewed
numbers. Each is a pure function of its name; ``write`` makes a CSV file of one. Nothing here trains.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Cells = dict[str, Sequence[Any] | Array]


@dataclass(frozen=True)
class Drawn:
    """A table: columns of cells by name, None or nan where one is missing, and which column is the label."""

    label: str
    task: str  # "classes" or "numbers"
    columns: Cells

    def write(self, path: Path) -> None:
        """Write it as CSV, a gap as nothing."""
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(self.columns)
            out.writerows(zip(*(map(_cell, cells) for cells in self.columns.values()), strict=True))


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def draw(name: str) -> Drawn:
    """The table of that name: the same on every call."""
    return TABLES[name](np.random.default_rng(zlib.crc32(name.encode())))


def _picked(r: np.random.Generator, n: int, shares: str) -> Array:
    """(n,) words, in about the shares that stand behind them: ``Male 67, Female 33``."""
    words = _numbered(shares)
    p = np.array([*words.values()])
    return r.choice([*words], n, p=p / p.sum())


def _numbered(text: str) -> dict[str, float]:
    parts = (part.strip().rpartition(" ") for part in text.split(","))
    return {word: float(number) for word, _, number in parts}


def _words(text: str) -> Array:
    return np.array(text.split())


def _effects(words: Array, effects: str) -> Array:
    """(n,) the number that stands behind each word; 0 for those that are not named."""
    by_word = _numbered(effects)
    return np.array([by_word.get(word, 0.0) for word in words.tolist()])


def _whole(values: Array) -> Array:
    return np.round(values).astype(int)


def _with_gaps(r: np.random.Generator, cells: Array, share: float) -> list[Any]:
    """The same with about that share of them missing."""
    return [
        None if gone else cell
        for cell, gone in zip(cells.tolist(), r.random(len(cells)) < share, strict=True)
    ]


def _yes(r: np.random.Generator, logit: Array) -> Array:
    """True (n,) with the probability that belongs to each logit."""
    return r.random(len(logit)) < 1 / (1 + np.exp(-logit))


def _shipped(
    load: str, label: str | None = None, task: str = "classes"
) -> Callable[[np.random.Generator], Drawn]:
    """One of scikit-learn's. label: the column of several targets; else the only one."""

    def table(_: np.random.Generator) -> Drawn:
        from sklearn import datasets

        found = getattr(datasets, f"load_{load}")()
        X, y, names = found.data, found.target, [*found.feature_names]
        if label is not None:
            y = y[:, found.target_names.index(label)]
        elif task == "classes" and load != "digits":
            y = np.asarray(found.target_names)[y]
        whole = (X.astype(int) == X).all()
        columns: Cells = dict(zip(names, X.astype(int).T if whole else X.T, strict=True))
        return Drawn(label or "target", task, columns | {label or "target": y})

    return table


def _cover_type(r: np.random.Generator) -> Drawn:
    """Forest of 7 kinds, two of them common: ten skewed measures, two text columns."""
    n = 6000
    area = _picked(r, n, "Rawah 45, Comanche Peak 43, Cache la Poudre 6, Neota 5")
    elevation = r.normal(2950, 220, n) + _effects(area, "Cache la Poudre -600, Neota 250, Rawah 60")
    aspect, slope = r.uniform(0, 360, n), r.gamma(3.5, 4.0, n)
    water, road, fire = r.gamma(1.2, 220, n), r.gamma(1.6, 1450, n), r.gamma(1.8, 1100, n)
    above = r.normal(0.17 * water, 30)
    noon = 220 - 0.8 * slope * np.cos(np.radians(aspect)) + r.normal(0, 8, n)
    families = _words(
        "Leighcan Como Bullwark Catamount Vanet Ratake Legault Gothic Moran Haploborolis Wetmore Cryaquolis"
    )
    at = np.clip(np.round((elevation - 2300) / 110 + r.normal(0, 1.6, n)), 0, len(families) - 1).astype(int)
    north = np.cos(np.radians(aspect))
    kinds = {
        "Spruce/Fir": 2.9 - ((elevation - 3170) / 260) ** 2 + 0.5 * north,
        "Lodgepole Pine": 2.6 - ((elevation - 2900) / 230) ** 2 - 0.3 * north,
        "Ponderosa Pine": -(((elevation - 2400) / 170) ** 2) + 2.6 - water / 700,
        "Cottonwood/Willow": -(((elevation - 2230) / 120) ** 2) + 3.0 - water / 150,
        "Aspen": -(((elevation - 2780) / 130) ** 2) + 1.2 + slope / 20 - road / 4000,
        "Douglas-fir": -(((elevation - 2430) / 150) ** 2) + 1.0 + 1.4 * north + (water > 250),
        "Krummholz": (elevation - 3250) / 90 + (at >= 9) + 0.4,
    }
    logits = np.stack([*kinds.values()], 1) * 2.2 + r.gumbel(0, 1, (n, len(kinds)))
    return Drawn(
        "Cover_Type",
        "classes",
        {
            "Elevation": _whole(elevation),
            "Aspect": _whole(aspect),
            "Slope": _whole(slope),
            "Horizontal_Distance_To_Hydrology": _whole(water),
            "Vertical_Distance_To_Hydrology": _whole(above),
            "Horizontal_Distance_To_Roadways": _whole(road),
            "Hillshade_Noon": _whole(noon),
            "Horizontal_Distance_To_Fire_Points": _whole(fire),
            "Wilderness_Area": area,
            "Soil_Type": [f"{family} family" for family in families[at]],
            "Cover_Type": np.array([*kinds])[logits.argmax(1)],
        },
    )


def _adult(r: np.random.Generator) -> Drawn:
    """Who earns over 50K: eight text columns, gaps in three, two columns that are nearly always 0."""
    n = 5000
    age = np.clip(r.gamma(8, 4.9, n), 17, 90)
    schooling = _words(
        "Preschool 7th-8th 11th HS-grad Some-college Assoc-voc Bachelors Masters Prof-school Doctorate"
    )
    level = r.choice(10, n, p=np.array([1, 4, 7, 32, 22, 8, 17, 6, 2, 1]) / 100)
    work = _picked(
        r, n, "Private 74, Self-emp-not-inc 8, Local-gov 7, State-gov 4, Self-emp-inc 4, Federal-gov 3"
    )
    marital = _picked(r, n, "Married-civ-spouse 46, Never-married 33, Divorced 14, Separated 3, Widowed 3")
    job = _picked(
        r,
        n,
        "Prof-specialty 13, Craft-repair 13, Exec-managerial 13, Adm-clerical 12, Sales 12, "
        "Other-service 11, Machine-op-inspct 7, Transport-moving 5, Handlers-cleaners 4, "
        "Farming-fishing 3, Tech-support 3, Protective-serv 2, Priv-house-serv 0.5",
    )
    sex = _picked(r, n, "Male 67, Female 33")
    country = _picked(
        r,
        n,
        "United-States 900, Mexico 20, Philippines 6, Germany 5, Canada 4, India 3, England 3, "
        "Cuba 3, China 2, Italy 2, Holand-Netherlands 0.3",
    )
    hours = np.clip(np.round(r.normal(40, 11, n)), 1, 99)
    gain = np.where(r.random(n) < 0.085, np.round(r.lognormal(8.3, 1.0, n)), 0)
    loss = np.where(r.random(n) < 0.047, np.round(r.normal(1870, 300, n)), 0)
    logit = (
        -3.0
        - ((age - 50) / 17) ** 2
        + 0.42 * (level - 3)
        + 0.035 * (hours - 40)
        + 1.1 * (gain > 5000)
        + 0.4 * (loss > 1700)
        + _effects(marital, "Married-civ-spouse 2.5")
        + _effects(sex, "Male 0.3")
        + _effects(work, "Self-emp-inc 0.6, Federal-gov 0.6, Self-emp-not-inc -0.5")
        + _effects(
            job,
            "Exec-managerial 1.0, Prof-specialty 0.7, Other-service -1.0, Farming-fishing -1.2, "
            "Handlers-cleaners -0.9, Tech-support 0.7, Sales 0.3, Priv-house-serv -2",
        )
    )
    return Drawn(
        "income",
        "classes",
        {
            "age": _whole(age),
            "workclass": _with_gaps(r, work, 0.056),
            "fnlwgt": np.round(r.lognormal(12, 0.5, n)).astype(int),
            "education": schooling[level],
            "marital-status": marital,
            "occupation": _with_gaps(r, job, 0.057),
            "sex": sex,
            "capital-gain": gain.astype(int),
            "capital-loss": loss.astype(int),
            "hours-per-week": hours.astype(int),
            "native-country": _with_gaps(r, country, 0.018),
            "income": np.where(_yes(r, logit), ">50K", "<=50K"),
        },
    )


def _house_prices(r: np.random.Generator) -> Drawn:
    """What houses were sold for: a skewed price, gaps that mean something, a text column of 18 places."""
    n = 1460
    places = _words(
        "NAmes CollgCr OldTown Edwards Somerst Gilbert NridgHt Sawyer NWAmes SawyerW BrkSide Crawfor Mitchel "
        "NoRidge Timber IDOTRR ClearCr StoneBr"
    )
    place = r.choice(18, n, p=np.arange(20, 2, -1) / np.arange(20, 2, -1).sum())
    worth = r.normal(0, 0.17, 18)[place]
    built = np.clip(np.round(2012 - r.gamma(1.7, 24, n)), 1872, 2010)
    quality = np.clip(np.round(r.normal(6 + (built - 1970) / 40 + 2 * worth, 1.1)), 1, 10)
    area = r.lognormal(7.27 + 0.05 * (quality - 6), 0.28, n)
    lot = r.lognormal(9.1, 0.45, n)
    basement = np.where(r.random(n) < 0.03, 0, area * r.uniform(0.4, 0.9, n))
    cars = np.clip(np.round(r.normal(1.4 + (quality - 5) / 5, 0.6)), 0, 4)
    style = _picked(r, n, "1Story 50, 2Story 30, 1.5Fin 11, SLvl 5, SFoyer 3, 1.5Unf 1")
    kitchen = _words("Fa TA Gd Ex")[
        np.clip(np.round((quality - 4.5) / 1.7 + r.normal(0, 0.5, n)), 0, 3).astype(int)
    ]
    log_price = (
        10.6
        + 0.1 * quality
        + 0.00036 * area
        + 0.0031 * (built - 1970)
        + worth
        + 0.06 * cars
        + 0.00012 * basement
        + 0.08 * (np.log(lot) - 9.1)
        + _effects(kitchen, "Ex 0.12, Fa -0.09")
        + r.normal(0, 0.11, n)
    )
    garage_built = [None if c == 0 else int(b) for c, b in zip(cars, np.maximum(built, 1900), strict=True)]
    return Drawn(
        "SalePrice",
        "numbers",
        {
            "MSSubClass": r.choice([20, 30, 50, 60, 80, 120], n),
            "LotFrontage": _with_gaps(r, np.round(np.sqrt(lot) * 0.7), 0.18),
            "LotArea": _whole(lot),
            "Neighborhood": places[place],
            "HouseStyle": style,
            "OverallQual": quality.astype(int),
            "OverallCond": np.clip(np.round(r.normal(5.6, 1.1, n)), 1, 9).astype(int),
            "YearBuilt": built.astype(int),
            "TotalBsmtSF": _whole(basement),
            "GrLivArea": _whole(area),
            "KitchenQual": kitchen,
            "GarageYrBlt": garage_built,
            "GarageCars": cars.astype(int),
            "FireplaceQu": _with_gaps(r, _picked(r, n, "Gd 40, TA 35, Fa 5, Ex 4, Po 3"), 0.47),
            "SalePrice": np.round(np.exp(log_price) / 100).astype(int) * 100,
        },
    )


def _passengers(r: np.random.Generator) -> Drawn:
    """Who survived a shipwreck: 891 rows, a fifth of the ages missing."""
    n = 891
    rank = r.choice([1, 2, 3], n, p=[0.24, 0.21, 0.55])
    sex = _picked(r, n, "male 65, female 35")
    age = np.clip(r.normal(38 - 4.5 * rank, 13, n), 0.5, 80)
    siblings, parents = r.poisson(0.5, n), r.poisson(0.38, n)
    fare = r.lognormal(5.1 - rank, 0.55, n) * (1 + 0.4 * (siblings + parents))
    port = _picked(r, n, "Southampton 72, Cherbourg 19, Queenstown 9")
    logit = (
        1.1
        - 1.0 * (rank - 2)
        + _effects(sex, "male -2.6")
        - 0.03 * (age - 28)
        + 1.2 * (age < 8)
        - 0.35 * (siblings + parents > 2)
        + _effects(port, "Cherbourg 0.4")
        - 0.9 * (rank == 3) * (sex == "female")
    )
    return Drawn(
        "survived",
        "classes",
        {
            "class": np.array(["", "First", "Second", "Third"])[rank],
            "sex": sex,
            "age": _with_gaps(r, np.round(age * 2) / 2, 0.2),
            "siblings or spouses": siblings,
            "parents or children": parents,
            "fare": np.round(fare, 2),
            "embarked": _with_gaps(r, port, 0.003),
            "alone": siblings + parents == 0,
            "survived": np.where(_yes(r, logit), "yes", "no"),
        },
    )


def _credit(r: np.random.Generator) -> Drawn:
    """Who does not pay a loan back: one in ten, skewed amounts, gaps in a column that matters."""
    n = 4000
    income = r.lognormal(10.6, 0.6, n)
    amount = r.lognormal(9.2, 0.7, n)
    years = r.choice([3, 5], n, p=[0.7, 0.3])
    score = np.clip(r.normal(690, 55, n) + 12 * np.log(income / 4e4), 480, 850)
    late = r.poisson(np.exp(-(score - 600) / 90))
    used = np.clip(r.beta(1.6, 2.4, n) * 110 - (score - 690) / 8, 0, 130)
    home = _picked(r, n, "MORTGAGE 49, RENT 41, OWN 10")
    why = _picked(
        r,
        n,
        "debt consolidation 58, credit card 20, home improvement 6, other 6, major purchase 3, "
        "small business 3, car 2, medical 2",
    )
    logit = (
        -4.5
        + 2.2 * amount / years / income * 3
        - (score - 690) / 45
        + 0.35 * late
        + 0.012 * (used - 40)
        + _effects(home, "RENT 0.35")
        + _effects(why, "small business 1.0, medical 0.4")
        + 0.5 * (years == 5)
    )
    return Drawn(
        "default",
        "classes",
        {
            "loan amount": _whole(amount / 25) * 25,
            "term": np.array([f"{y * 12} months" for y in years]),
            "annual income": _whole(income),
            "home ownership": home,
            "purpose": why,
            "credit score": _whole(score),
            "late payments": late,
            "utilisation": [f"{v:.1f}" if v is not None else None for v in _with_gaps(r, used, 0.07)],
            "months since last late payment": [int(r.integers(1, 84)) if k else None for k in late.tolist()],
            "default": _yes(r, logit),
        },
    )


def _used_cars(r: np.random.Generator) -> Drawn:
    """What used cars are asked for: makes and models in two text columns, a skewed price."""
    n = 4000
    makes = (
        "Ford 5, Vauxhall 5, Volkswagen 4, BMW 4, Audi 3, Mercedes 3, Toyota 3, Skoda 2, "
        "Hyundai 2, Porsche 0.2"
    )
    make = _picked(r, n, makes)
    size = r.choice(4, n, p=[0.3, 0.35, 0.25, 0.1])
    model = np.array([f"{m} {'ABCD'[s]}{1 + s}" for m, s in zip(make, size, strict=True)])
    year = np.clip(np.round(2020 - r.gamma(1.6, 2.1, n)), 2000, 2020)
    miles = r.gamma(1.5, 1.0, n) * 6500 * (2020.5 - year)
    fuel = _picked(r, n, "Petrol 55, Diesel 41, Hybrid 4")
    gears = _picked(r, n, "Manual 57, Semi-Auto 23, Automatic 20")
    litres = np.round(1.0 + 0.4 * size + r.gamma(1.5, 0.2, n), 1)
    log_price = (
        9.2
        + _effects(make, "BMW 0.4, Audi 0.4, Mercedes 0.45, Porsche 1.2, Vauxhall -0.25, Toyota 0.05")
        + 0.22 * size
        - 0.115 * (2020 - year)
        - miles / 260_000
        + 0.18 * (litres - 1.5)
        + _effects(fuel, "Hybrid 0.15")
        + _effects(gears, "Automatic 0.12, Semi-Auto 0.15")
        + r.normal(0, 0.1, n)
    )
    return Drawn(
        "price",
        "numbers",
        {
            "make": make,
            "model": model,
            "year": year.astype(int),
            "transmission": gears,
            "mileage": _whole(miles),
            "fuelType": fuel,
            "tax": _with_gaps(r, r.choice([0, 20, 30, 125, 145, 150, 200], n), 0.1),
            "mpg": _with_gaps(r, np.round(72 - 9 * litres + r.normal(0, 5, n), 1), 0.1),
            "engineSize": litres,
            "price": np.round(np.exp(log_price)).astype(int),
        },
    )


def _bike_rentals(r: np.random.Generator) -> Drawn:
    """How many bikes are rented in an hour: counts that hang on the hour, in no straight line."""
    n = 5000
    hour, day, month = r.integers(0, 24, n), r.integers(0, 7, n), r.integers(1, 13, n)
    temperature = (
        12
        - 11 * np.cos(2 * np.pi * (month - 1) / 12)
        + 4 * np.sin((hour - 9) / 24 * 2 * np.pi)
        + r.normal(0, 3, n)
    )
    humidity, wind = np.clip(r.normal(63, 19, n), 10, 100), r.gamma(2.4, 5.3, n)
    sky = _picked(r, n, "clear 65, misty 26, light rain 8, heavy rain 0.5")
    works = day < 5
    rush = np.exp(-((hour - 8) ** 2) / 2.5) + 1.2 * np.exp(-((hour - 17.5) ** 2) / 4)
    leisure = np.exp(-((hour - 14) ** 2) / 22)
    mean = (
        (8 + 330 * np.where(works, rush, 0.25 * rush) + 230 * np.where(works, 0.45, 1.0) * leisure)
        * np.exp(-(((temperature - 24) / 17) ** 2))
        * np.exp(_effects(sky, "misty -0.1, light rain -0.7, heavy rain -1.4"))
        * np.exp(-0.004 * (humidity - 60) - 0.008 * wind)
    )
    return Drawn(
        "count",
        "numbers",
        {
            "hour": hour,
            "weekday": _words("Mon Tue Wed Thu Fri Sat Sun")[day],
            "month": month,
            "working day": works,
            "weather": sky,
            "temp": np.round(temperature, 1),
            "humidity": _whole(humidity),
            "windspeed": np.round(wind, 1),
            "count": r.poisson(mean * r.gamma(20, 1 / 20, n)),
        },
    )


def _mushrooms(r: np.random.Generator) -> Drawn:
    """Which mushrooms can be eaten: text columns alone, one with gaps."""
    n = 2000
    odour = _picked(r, n, "none 44, foul 26, almond 8, anise 8, fishy 7, pungent 4, musty 1")
    colours = "brown 28, grey 23, red 18, yellow 13, white 13, buff 9, pink 2"
    cap, gill = _picked(r, n, colours), _picked(r, n, f"{colours}, black 5")
    spore = _picked(r, n, "white 30, brown 24, black 23, chocolate 20, green 1, orange 1")
    grows = _picked(r, n, "woods 39, grasses 26, paths 14, leaves 10, urban 5, meadows 4, waste 2")
    root = _picked(r, n, "bulbous 46, equal 14, club 7, rooted 2")
    bruises = r.random(n) < 0.42
    logit = (
        -0.5
        + _effects(odour, "none -1.8, foul 4, almond -3, anise -3, fishy 3.5, pungent 3.5, musty 3")
        + _effects(spore, "chocolate 1.5, green 3, brown -0.8")
        + _effects(gill, "buff 1.4, black -0.5")
        + _effects(grows, "paths 1.0, waste -2")
        - 1.2 * bruises * (spore == "white")
    )
    return Drawn(
        "class",
        "classes",
        {
            "cap-color": cap,
            "bruises": np.where(bruises, "t", "f"),
            "odor": odour,
            "gill-color": gill,
            "stalk-root": _with_gaps(r, root, 0.3),
            "spore-print-color": spore,
            "habitat": grows,
            "class": np.where(_yes(r, 1.6 * logit), "poisonous", "edible"),
        },
    )


TABLES: dict[str, Callable[[np.random.Generator], Drawn]] = {
    "iris": _shipped("iris"),
    "wine": _shipped("wine"),
    "breast_cancer": _shipped("breast_cancer"),
    "digits": _shipped("digits"),
    "diabetes": _shipped("diabetes", task="numbers"),
    "linnerud": _shipped("linnerud", "Weight", "numbers"),
    "cover_type": _cover_type,
    "adult": _adult,
    "house_prices": _house_prices,
    "passengers": _passengers,
    "credit": _credit,
    "used_cars": _used_cars,
    "bike_rentals": _bike_rentals,
    "mushrooms": _mushrooms,
}
"""By name, what draws it."""
