"""All places, in the order in which they run. Importing one registers its classes."""
import links  # noqa: F401
import registry  # noqa: F401
