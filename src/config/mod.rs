//! The configuration: SRS's file syntax, one table of directives, the environment, and typed settings.

pub mod table;
pub mod tree;
