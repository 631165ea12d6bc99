"""By which key of config.yml the torch and the Python of an image are chosen."""

from __future__ import annotations

from hotfire.images import RAY, ImageLine, OwnLine

_ANOTHER = "another `serving` than `ray`"
"""AWS has one Ray Serve image, so that there is nothing to choose."""


def torch_by(image: ImageLine) -> str:
    """What has another torch in place of that of this image."""
    if image == RAY:
        return _ANOTHER
    return "`own_image.torch`" if isinstance(image, OwnLine) else "`framework_version`"


def python_by(image: ImageLine) -> str:
    """What has another Python in place of that of this image."""
    if image == RAY:
        return _ANOTHER
    return "`own_image.base`" if isinstance(image, OwnLine) else "`framework_version`"
