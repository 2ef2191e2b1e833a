"""Changes of a compiled MuJoCo model by which tasks differ.

As in the published environments, compiled numbers are scaled as they are: a heavier body keeps its
inertia tensor and the solver's precomputed softness, unless a task scales those too.

MuJoCo's compiler has also derived numbers from those that are scaled: bounding radii from sizes, subtrees'
masses from masses. Here they follow, as if the model had been compiled with the scaled numbers. In the
published environments they stay what they were (`update_derived=False`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import mujoco


def set_masses(model: mujoco.MjModel, masses: NDArray[np.float64], update_derived: bool = True) -> None:
    """Give the bodies `masses` `[bodies]`, kg.

    With `update_derived` the subtrees' masses follow: MuJoCo divides by them to find the center of mass
    to which cinert and cvel refer. The dynamics do not depend on them.
    """
    model.body_mass[:] = masses
    if not update_derived:
        return
    subtrees = np.array(masses)
    for body in range(model.nbody - 1, 0, -1):  # children come after their parents
        subtrees[model.body_parentid[body]] += subtrees[body]
    model.body_subtreemass[:] = subtrees


def set_sizes(model: mujoco.MjModel, sizes: NDArray[np.float64], update_derived: bool = True) -> None:
    """Give the geoms `sizes` `[geoms, 3]`: radius and half length of capsules, radius of spheres, m.

    With `update_derived` the bounding radii follow, by which MuJoCo sorts out distant geoms. Without it,
    contacts of geoms that have grown are missed until they are within the old radius; geoms that have
    shrunk miss none.
    """
    import mujoco  # only for those who simulate

    model.geom_size[:] = sizes
    # The bounding-box tree of a body is fixed when its model is compiled (MuJoCo 2.0, of the published
    # environments, had none); compare all its geoms instead.
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE.value
    if not update_derived:
        return
    spheres = model.geom_type == mujoco.mjtGeom.mjGEOM_SPHERE
    capsules = model.geom_type == mujoco.mjtGeom.mjGEOM_CAPSULE
    radius, half_length = sizes[:, 0], sizes[:, 1]
    model.geom_rbound[spheres] = radius[spheres]
    model.geom_rbound[capsules] = (radius + half_length)[capsules]
