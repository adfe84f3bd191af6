//! Test problems of this method, and how far it may be from its reference: those of all methods that combine pairs by their dates.

pub use crate::cases::{by_date as problems, DEFAULTS as SETTINGS, ONE_ROUNDING as TOLERANCE};
