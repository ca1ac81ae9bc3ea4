//! The one way a per-event function is declared.
//!
//! `#[rustler::nif]` allocates a vector for the arguments of every call and finds resource types through a hash map;
//! that is more than the work itself. [`hot!`] declares a function with the same ease and without either:
//!
//! ```ignore
//! hot! {
//!     fn counters_add(env, table: &Table, key: Raw, metric: Raw) {
//!         table.add(env, key, metric, 1)
//!     }
//! }
//! ```
//!
//! The call's lifetime is `'a`, where an argument has to name it. The body returns `Result<Term, BadArgument>`. Arguments are
//! read where the VM left them, by [`Argument`]: as a [`Raw`], which stays in a register, where a `Term` would be written to
//! the stack. A panic ends in an exception of the caller. Whatever takes longer than
//! a millisecond does not belong here.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustler::sys::{ErlNifEnv, ErlNifTerm};
use rustler::{Env, Term};

use crate::decode::{self, BadArgument, Raw, bad_argument, with_layout};
use crate::resource::{self, Resource};

/// What an argument of a hot function is read as.
pub trait Argument<'a>: Sized {
    /// Reads it, or says why not.
    fn read(env: Env<'a>, term: Raw<'a>) -> Result<Self, BadArgument>;
}

impl<'a> Argument<'a> for Raw<'a> {
    #[inline(always)]
    fn read(_env: Env<'a>, term: Raw<'a>) -> Result<Self, BadArgument> {
        Ok(term)
    }
}

impl<'a> Argument<'a> for Term<'a> {
    #[inline(always)]
    fn read(env: Env<'a>, term: Raw<'a>) -> Result<Self, BadArgument> {
        Ok(term.in_env(env))
    }
}

impl<'a, T: Resource> Argument<'a> for &'a T {
    #[inline(always)]
    fn read(env: Env<'a>, term: Raw<'a>) -> Result<Self, BadArgument> {
        resource::read(env, term)
    }
}

/// An amount to add.
pub struct Amount(pub i64);

impl<'a> Argument<'a> for Amount {
    #[inline(always)]
    fn read(env: Env<'a>, term: Raw<'a>) -> Result<Self, BadArgument> {
        with_layout!(L => decode::integer::<L>(env, term))
            .map(Amount)
            .ok_or_else(|| bad_argument::amount(term.in_env(env)))
    }
}

/// Where in a list something is, as Elixir was told by the call before.
pub struct Index(pub usize);

impl<'a> Argument<'a> for Index {
    #[inline(always)]
    fn read(env: Env<'a>, term: Raw<'a>) -> Result<Self, BadArgument> {
        let index = with_layout!(L => decode::integer::<L>(env, term)).and_then(|index| usize::try_from(index).ok());
        index.map(Index).ok_or_else(|| bad_argument::item(term.in_env(env), "number of elements"))
    }
}

/// Milliseconds since 1970.
pub struct At(pub u64);

impl<'a> Argument<'a> for At {
    #[inline(always)]
    fn read(env: Env<'a>, term: Raw<'a>) -> Result<Self, BadArgument> {
        with_layout!(L => decode::integer::<L>(env, term))
            .and_then(|at| u64::try_from(at).ok())
            .map(At)
            .ok_or_else(|| bad_argument::time(term.in_env(env)))
    }
}

/// Runs a hot function's body and turns what comes out into what the VM expects. Called by [`hot!`] only.
///
/// # Safety
/// The VM called a NIF with `env`, and `body` does not keep it.
#[inline(always)]
pub unsafe fn enter<F>(name: &'static str, env: *mut ErlNifEnv, body: F) -> ErlNifTerm
where
    F: for<'a> FnOnce(Env<'a>) -> Result<Term<'a>, BadArgument>,
{
    let call = ();
    // SAFETY: the environment is the VM's for this call, and the lifetime ends with this function.
    let env = unsafe { Env::new(&call, env) };
    // Unwind safety: hazard pointers and locks are released on the way out, and new rows are published last, so a table
    // is whole at any point where code can panic.
    match catch_unwind(AssertUnwindSafe(|| body(env))) {
        Ok(Ok(term)) => term.as_c_arg(),
        Ok(Err(error)) => bad_argument::raise(env, &error),
        Err(panic) => panicked(env, name, panic),
    }
}

#[cold]
fn panicked(env: Env<'_>, name: &str, panic: Box<dyn Any + Send>) -> ErlNifTerm {
    let what = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    bad_argument::raise_panic(env, &format!("AdTally.Native.{name} panicked: {what}"))
}

/// Declares per-event functions, each callable from Elixir under its name and the number of its arguments.
macro_rules! hot {
    ($($(#[$doc:meta])* fn $name:ident($env:ident $(, $argument:ident: $kind:ty)*) $body:block)+) => { $(
        const _: () = {
            $(#[$doc])*
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "they are those of a function of Elixir")]
            fn body<'a>(
                $env: ::rustler::Env<'a> $(, $argument: $kind)*
            ) -> Result<::rustler::Term<'a>, $crate::decode::BadArgument> $body

            unsafe extern "C" fn entry(
                env: *mut ::rustler::sys::ErlNifEnv,
                _count: ::rustler::codegen_runtime::c_int,
                arguments: *const ::rustler::sys::ErlNifTerm,
            ) -> ::rustler::sys::ErlNifTerm {
                // SAFETY: the VM calls this function, with the environment of the call.
                unsafe { $crate::hot::enter(stringify!($name), env, |env| {
                    let mut _rest = arguments;
                    $(
                        // The VM passes as many terms as the arity it was told below, all of this environment.
                        let term = $crate::decode::argument(env, *_rest);
                        let $argument = $crate::hot::Argument::read(env, term)?;
                        _rest = _rest.wrapping_add(1);
                    )*
                    body(env $(, $argument)*)
                }) }
            }

            ::rustler::codegen_runtime::inventory::submit!(::rustler::Nif {
                name: concat!(stringify!($name), "\0").as_ptr().cast(),
                arity: 0 $(+ $crate::hot::hot!(@one $argument))*,
                flags: 0,
                raw_func: entry,
            });
        };
    )+ };
    (@one $argument:ident) => { 1 };
}
pub(crate) use hot;
