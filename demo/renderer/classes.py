"""Classes owns the table of what can be drawn: an ImageNet class and the function that draws it."""

from collections.abc import Callable
from typing import NamedTuple

from demo.renderer import aloft, balls, desk, fruit, garden, street
from demo.renderer.scene import Scene


class ImageNetClass(NamedTuple):
    """A class of the 1000 by its place in them and its WordNet id, with its drawing function."""

    index: int
    wordnet_id: str
    draw: Callable[[Scene], None]


CLASSES: dict[str, ImageNetClass] = {
    "ladybug": ImageNetClass(301, "n02165456", garden.ladybug),
    "abacus": ImageNetClass(398, "n02666196", desk.abacus),
    "analog_clock": ImageNetClass(409, "n02708093", desk.analog_clock),
    "balloon": ImageNetClass(417, "n02782093", aloft.balloon),
    "basketball": ImageNetClass(430, "n02802426", balls.basketball),
    "beacon": ImageNetClass(437, "n02814860", street.beacon),
    "candle": ImageNetClass(470, "n02948072", desk.candle),
    "computer_keyboard": ImageNetClass(508, "n03085013", desk.computer_keyboard),
    "digital_clock": ImageNetClass(530, "n03196217", desk.digital_clock),
    "envelope": ImageNetClass(549, "n03291819", desk.envelope),
    "honeycomb": ImageNetClass(599, "n03530642", garden.honeycomb),
    "maze": ImageNetClass(646, "n03733281", desk.maze),
    "parachute": ImageNetClass(701, "n03888257", aloft.parachute),
    "piggy_bank": ImageNetClass(719, "n03935335", desk.piggy_bank),
    "pinwheel": ImageNetClass(723, "n03944341", aloft.pinwheel),
    "school_bus": ImageNetClass(779, "n04146614", street.school_bus),
    "soccer_ball": ImageNetClass(805, "n04254680", balls.soccer_ball),
    "spider_web": ImageNetClass(815, "n04275548", garden.spider_web),
    "tennis_ball": ImageNetClass(852, "n04409515", balls.tennis_ball),
    "umbrella": ImageNetClass(879, "n04507155", aloft.umbrella),
    "crossword_puzzle": ImageNetClass(918, "n06785654", desk.crossword_puzzle),
    "street_sign": ImageNetClass(919, "n06794110", street.street_sign),
    "traffic_light": ImageNetClass(920, "n06874185", street.traffic_light),
    "mushroom": ImageNetClass(947, "n07734744", garden.mushroom),
    "strawberry": ImageNetClass(949, "n07745940", fruit.strawberry),
    "orange": ImageNetClass(950, "n07747607", fruit.orange),
    "lemon": ImageNetClass(951, "n07749582", fruit.lemon),
    "banana": ImageNetClass(954, "n07753592", fruit.banana),
    "pizza": ImageNetClass(963, "n07873807", fruit.pizza),
    "daisy": ImageNetClass(985, "n11939491", garden.daisy),
}
