//! End-to-end tests of autoclave.
