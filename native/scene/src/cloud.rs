//! A cloud and its shadow.
