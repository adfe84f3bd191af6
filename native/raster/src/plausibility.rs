//! plausibility
