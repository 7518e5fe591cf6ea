"""`python -m demo.renderer samples|dataset`: the pictures that the project shows and trains on."""

import argparse
from pathlib import Path

from demo.renderer import DEFAULT_SIZE, dataset, samples
from demo.renderer.classes import CLASSES


def main() -> None:
    """Parses the command line and draws."""
    parser = argparse.ArgumentParser(prog="python -m demo.renderer", description=__doc__)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("samples", help="the pictures of sample_images/")
    command.add_argument("folder", type=Path)
    command.set_defaults(draw=_samples)

    command = commands.add_parser("dataset", help="one folder of pictures per class")
    command.add_argument("folder", type=Path)
    command.add_argument("--images", type=int, default=100, help="pictures of each class")
    command.add_argument("--first-seed", type=int, default=0)
    command.add_argument("--classes", nargs="+", choices=CLASSES, default=list(CLASSES))
    command.add_argument("--size", type=int, default=DEFAULT_SIZE[0], help="side in px")
    command.add_argument("--jobs", type=int, default=2)
    command.set_defaults(draw=_dataset)

    arguments = parser.parse_args()
    arguments.draw(arguments)


def _samples(arguments: argparse.Namespace) -> None:
    for path in samples.write(arguments.folder):
        print(path)


def _dataset(arguments: argparse.Namespace) -> None:
    count = dataset.write(
        arguments.folder,
        classes=arguments.classes,
        seeds=range(arguments.first_seed, arguments.first_seed + arguments.images),
        size=(arguments.size, arguments.size),
        jobs=arguments.jobs,
    )
    print(f"{count} pictures drawn into {arguments.folder}")


if __name__ == "__main__":
    main()
