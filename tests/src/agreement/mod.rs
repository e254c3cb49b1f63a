//! Whether the model of access and the kernel agree, on one row of the table of backends.

mod compare;
mod dice;
mod kept;
mod row;
mod world;

pub use self::compare::compare;
pub use self::row::Row;
