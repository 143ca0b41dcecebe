"""Every figure that is claimed, measured beside what it is compared to."""
