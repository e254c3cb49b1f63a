//! How much of the machine one command may use.
