//! Buckets of 64 bytes: what full ones go on in.

pub(crate) mod free_list;
