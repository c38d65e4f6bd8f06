"""All places, in the order in which they run. Importing one registers its classes."""
import askers  # noqa: F401
import consoles  # noqa: F401
import framing  # noqa: F401
import holders  # noqa: F401
import links  # noqa: F401
import metaservers  # noqa: F401
import pushes  # noqa: F401
import registry  # noqa: F401
import restarts  # noqa: F401
import searches  # noqa: F401
import state_files  # noqa: F401
