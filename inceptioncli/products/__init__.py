"""Products: what a run makes of each image, as its part of the image's record."""

from inceptioncli.products.base import Outcome, Product

__all__ = ["Outcome", "Product"]
