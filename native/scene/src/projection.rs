//! Map projections of the two sensors.
