"""Videos of trials: filmed environments, pictures with captions, and the files made of them."""

from lit_metarl.videos.camera import Camera, FilmedEnv, film_in
from lit_metarl.videos.files import Mp4, animated_gif

__all__ = ["Camera", "FilmedEnv", "Mp4", "animated_gif", "film_in"]
