"""Exported policies on a robot: needs numpy and onnxruntime, and neither torch nor the rest of imitate."""

from imitate.runtime.bundle import Bundle, open_bundle
from imitate.runtime.manifest import Horizons, Manifest
from imitate.runtime.policy import BundlePolicy

__all__ = ["Bundle", "BundlePolicy", "Horizons", "Manifest", "open_bundle"]
