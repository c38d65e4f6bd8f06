"""All places, in the order in which they run. Importing one registers its classes."""
import registry  # noqa: F401
