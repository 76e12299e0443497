//! Credentials: what a pull secret holds, and which of it an image may be asked for with.

pub mod cloud;
