"""The README as a package index shows it. All else about the package stands in setup.cfg."""

import re
from pathlib import Path

from setuptools import setup

# Where the repository can be read, once there is one to name: links of the README, which are
# relative in the repository itself, begin with it.
REPOSITORY = ""

readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
if REPOSITORY:
    readme = re.sub(r"\]\((?!https?://|#)", f"]({REPOSITORY}/blob/main/", readme)

setup(
    long_description=readme,
    long_description_content_type="text/markdown",
    project_urls={"Source": REPOSITORY} if REPOSITORY else {},
)
