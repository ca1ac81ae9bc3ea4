//! Attribution: which touches a conversion is credited to, exactly.

pub mod credit;
pub mod path;
#[allow(dead_code, unused_imports, reason = "what calls it comes next")]
mod ring;
mod types;

pub use self::types::{
    Change, Config, Conversion, Counting, MAX_ACTIONS, MAX_KINDS, MAX_TOUCHES, Model, Outcome, PARTS, Step, Touch,
    Unchanged, VALUES,
};
