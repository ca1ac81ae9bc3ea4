//! The structs that are recorded: `AdTally.Event`, `AdTally.Touch` and `AdTally.Conversion`.

use rustler::Env;

use super::layout::Raw;
use super::structs::Struct;
use crate::atoms;

/// Declares a struct as it is read: its fields by name, each a term.
macro_rules! term {
    ($(#[$doc:meta])* $term:ident, $keys:literal of $module:ident, $name:literal: $($field:ident),+) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $term<'a> {
            $(pub $field: Raw<'a>,)+
        }

        impl<'a> $term<'a> {
            /// What it is called in errors.
            pub const NAME: &'static str = $name;

            const fn of_module() -> &'static Struct<$keys> {
                static STRUCT: Struct<$keys> =
                    Struct::new(atoms::$module, || [atoms::__struct__(), $(atoms::$field(),)+]);
                &STRUCT
            }

            /// The terms of a struct, if it is seen to be one where it lies. Otherwise it may still be one.
            #[inline(always)]
            pub fn read(term: Raw<'a>) -> Option<Self> {
                let [_module, $($field),+] = Self::of_module().read(term)?;
                Some(Self { $($field),+ })
            }

            /// What it is called, and its terms in the order of its fields.
            #[cold]
            pub fn shown(self) -> (&'static str, Vec<Raw<'a>>) {
                (Self::NAME, vec![$(self.$field),+])
            }

            /// The terms of a struct, if it is one.
            #[cold]
            pub fn read_by_call(env: Env<'a>, term: Raw<'a>) -> Option<Self> {
                let [_module, $($field),+] = Self::of_module().read_by_call(env, term)?;
                Some(Self { $($field),+ })
            }
        }
    };
}

term!(
    /// The terms that an event has.
    EventTerm, 7 of event, "%AdTally.Event{} struct": id, at, dimensions, user, metrics, touch
);
term!(
    /// The terms that a touch has.
    TouchTerm, 7 of touch_struct, "%AdTally.Touch{} struct": id, user, at, kind, dimensions, cost_micros
);
term!(
    /// The terms that a conversion has.
    ConversionTerm, 6 of conversion_struct, "%AdTally.Conversion{} struct": order, user, at, action, value_micros
);

/// Finds out how the VM lays out all of them. Asked after the calibration of other terms.
pub fn calibrate(env: Env<'_>) {
    EventTerm::of_module().calibrate(env);
    TouchTerm::of_module().calibrate(env);
    ConversionTerm::of_module().calibrate(env);
}

/// Has the VM asked from now on. `calibrate` takes it back.
pub fn forget_layout() {
    EventTerm::of_module().forget_layout();
    TouchTerm::of_module().forget_layout();
    ConversionTerm::of_module().forget_layout();
}

/// Whether all of them are read in place.
pub fn is_layout_known() -> bool {
    EventTerm::of_module().is_layout_known()
        && TouchTerm::of_module().is_layout_known()
        && ConversionTerm::of_module().is_layout_known()
}
