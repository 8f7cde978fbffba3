"""What can go wrong for a user: each message is one line saying what, where and what to do."""


class EdgernnError(ValueError):
    """Base of every error that is the input's fault; the command line exits with 2."""

    def __str__(self) -> str:
        """One line, whatever names of the input are in it."""
        return " ".join(super().__str__().split())


class ModelFileError(EdgernnError):
    """A file is not a readable `.tflite`, or breaks the step-model contract."""


class InputError(EdgernnError):
    """A frame, recording or calibration set has the wrong shape, type or values."""


class StateError(EdgernnError):
    """A saved state is damaged, of another version or of another model."""


class BundleError(EdgernnError):
    """A bundle is damaged, not signed as it must be, too old, or of another service or machine."""


class DeviceError(EdgernnError):
    """A device cannot be reached, or what was asked of it failed there; the message says why."""


class UnsupportedError(EdgernnError):
    """A layer, option, activation or op cannot be converted; the message names it and a remedy."""


class MissingDependencyError(EdgernnError):
    """An optional package or tool is missing; the message holds the command that installs it."""
