//! Stream names.
