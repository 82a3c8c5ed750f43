#![forbid(unsafe_code)]
//! Placeholder while the workspace is laid.
