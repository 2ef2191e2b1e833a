"""What setup.cfg cannot say: the configuration files of the checkout are data of the package `lit_metarl.presets`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lit_metarl*", "datamodules*", "envs*"]), "lit_metarl.presets"],
    package_dir={"lit_metarl.presets": "configs"},
    package_data={
        "": ["py.typed"],
        "lit_metarl.presets": ["**/*.yaml"],
        "lit_metarl.report": ["*.jinja", "*.mplstyle"],
        "envs.locomotion": ["*.json"],
        "envs.manipulation": ["*.npz"],
    },
)
