"""The demo model: what drew its pictures (`renderer`) and the recipe that made it (`recipe`).

The published weights are 96 MB and somebody else's, and so are photographs. So that the program can
be tried, tested and trained offline, with nothing in it that is not ours to give away, this folder
draws pictures of ImageNet classes and trains a small model on them with `inceptioncli train`. What
it made is in the repository: ``sample_images/``, ``inceptioncli/data/demo.safetensors`` and
``docs/demo-model.md``. Nothing of this is installed.
"""
