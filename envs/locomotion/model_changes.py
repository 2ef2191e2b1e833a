"""Changes of a compiled MuJoCo model by which tasks differ.

As in the published environments, compiled numbers are scaled as they are: a heavier body keeps its
inertia tensor and the solver's precomputed softness, unless a task scales those too.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray


def set_masses(model: mujoco.MjModel, masses: NDArray[np.float64]) -> None:
    """Give the bodies `masses` `[bodies]`, kg.

    The subtrees' masses follow: MuJoCo divides by them to find the centre of mass to which
    observed inertias and velocities refer. The dynamics do not depend on them.
    """
    model.body_mass[:] = masses
    subtrees = np.array(masses)
    for body in range(model.nbody - 1, 0, -1):  # children come after their parents
        subtrees[model.body_parentid[body]] += subtrees[body]
    model.body_subtreemass[:] = subtrees


def set_sizes(model: mujoco.MjModel, sizes: NDArray[np.float64]) -> None:
    """Give the geoms `sizes` `[geoms, 3]`: radius and half length of capsules, radius of spheres, m.

    The bounds by which MuJoCo sorts out distant geoms follow, so that no contact is missed.
    """
    model.geom_size[:] = sizes
    spheres = model.geom_type == mujoco.mjtGeom.mjGEOM_SPHERE
    capsules = model.geom_type == mujoco.mjtGeom.mjGEOM_CAPSULE
    radius, half_length = sizes[:, 0], sizes[:, 1]
    model.geom_rbound[spheres] = radius[spheres]
    model.geom_rbound[capsules] = (radius + half_length)[capsules]
    # The bounding-box tree of a body is fixed when its model is compiled; compare all its geoms instead.
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE.value
