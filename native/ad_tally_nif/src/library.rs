//! What the VM calls when it loads the library, or hands it to a newer instance of its module.
//!
//! `rustler::init!` does that but for two things.
//!
//! * A code reloader deletes a module and has the next call load it again, while the older instance and all that it made
//!   are still there. Then the VM calls `upgrade`, which takes the resources over: references go on as if nothing had
//!   happened. Only the same image of the library can do so, because another one has statics of its own (the hazard
//!   pointers) and may lay its values out differently. An image knows itself by the address of one of its
//!   statics, which it leaves with the VM. Any other is refused. (While an older instance is in use, `AdTally.Native` does
//!   not even ask.)
//! * The image is never unmapped: threads of its own may still free a table, and others run destructors of its thread-local
//!   values when they end. A resource that is never released sees to that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;

use rustler::codegen_runtime::{ErlNifEntry, ErlNifFunc, c_int, c_void, inventory};
use rustler::sys::{ErlNifEnv, ErlNifResourceFlags, ErlNifTerm};
use rustler::{Atom, Env, Nif, NifResult, Term};

use crate::decode::{BadArgument, bad_argument};
use crate::owner::Owner;
use crate::resource::{self, Resource, resource};
use crate::{
    allocator, atoms, attribution, counters, decode, dedupe, export, frequency_cap, meter, pacer, reach, sketch, steps,
    store,
};

/// Its address is that of this image.
static IMAGE: u8 = 0;

fn image() -> *mut c_void {
    ptr::from_ref(&IMAGE).cast_mut().cast()
}

/// What keeps the image mapped.
struct Anchor;

resource!(Anchor, c"anchor", "what keeps the library mapped");

fn open_resources(env: Env<'_>, how: ErlNifResourceFlags) -> bool {
    resource::open::<Anchor>(env, how)
        && resource::open::<export::Export>(env, how)
        && resource::open::<store::Store>(env, how)
        && resource::open::<store::Waiting>(env, how)
        && resource::open::<counters::Table>(env, how)
        && resource::open::<reach::Table>(env, how)
        && resource::open::<steps::Walk>(env, how)
        && resource::open::<reach::Union>(env, how)
        && resource::open::<sketch::Builder>(env, how)
        && resource::open::<sketch::Uniting>(env, how)
        && resource::open::<frequency_cap::Table>(env, how)
        && resource::open::<frequency_cap::RuleSet>(env, how)
        && resource::open::<dedupe::Table>(env, how)
        && resource::open::<attribution::Table>(env, how)
        && resource::open::<attribution::Period>(env, how)
        && resource::open::<attribution::Linking>(env, how)
        && resource::open::<attribution::Report>(env, how)
        && resource::open::<attribution::Paths>(env, how)
        && resource::open::<meter::Table>(env, how)
        && resource::open::<pacer::Table>(env, how)
        && resource::open::<pacer::NotedMoney>(env, how)
        && resource::open::<meter::Period>(env, how)
        && resource::open::<meter::Report>(env, how)
}

/// Opens the resources and leaves the image's address with the VM: 0 if it succeeded, as the VM expects.
///
/// # Safety
/// The VM called `load` or `upgrade` with these.
unsafe fn begin(
    env: *mut ErlNifEnv,
    private: *mut *mut c_void,
    how: ErlNifResourceFlags,
    more: impl FnOnce(Env<'_>),
) -> c_int {
    let succeeded = catch_unwind(AssertUnwindSafe(|| {
        let call = ();
        // SAFETY: the environment is the VM's for this call, and the lifetime ends with this closure.
        let env = unsafe { Env::new_init_env(&call, env) };
        let opened = open_resources(env, how);
        if opened {
            more(env);
        }
        opened
    }));
    // SAFETY: the VM says where.
    unsafe { *private = image() };
    c_int::from(!succeeded.unwrap_or(false))
}

unsafe extern "C" fn load(env: *mut ErlNifEnv, private: *mut *mut c_void, _info: ErlNifTerm) -> c_int {
    let how = ErlNifResourceFlags::ERL_NIF_RT_CREATE;
    // SAFETY: the VM calls this function.
    unsafe {
        begin(env, private, how, |env| {
            allocator::give_back_at_once();
            decode::calibrate(env);
            resource::keep_for_ever::<Anchor>();
        })
    }
}

unsafe extern "C" fn upgrade(
    env: *mut ErlNifEnv,
    private: *mut *mut c_void,
    old_private: *mut *mut c_void,
    _info: ErlNifTerm,
) -> c_int {
    // SAFETY: the VM says where the older instance has left what. A library without an `upgrade` has left null.
    if unsafe { *old_private } != image() {
        return 1;
    }
    let how = ErlNifResourceFlags::ERL_NIF_RT_TAKEOVER;
    // SAFETY: the VM calls this function.
    unsafe { begin(env, private, how, |_env| {}) }
}

/// To whom a table may belong, and where it lies.
fn owner<'a>(env: Env<'a>, table: Term<'a>) -> Result<(&'a Owner, *const c_void), BadArgument> {
    fn of<'a, T: Resource>(env: Env<'a>, table: Term<'a>) -> Result<(&'a Owner, *const c_void), BadArgument> {
        let value = resource::of_type::<T>(env, table.into())?;
        let owner = resource::owner(value).ok_or_else(|| bad_argument::not_a(T::DESCRIPTION, table))?;
        Ok((owner, ptr::from_ref(value).cast()))
    }
    of::<meter::Table>(env, table)
        .or_else(|_| of::<store::Store>(env, table))
        .or_else(|_| of::<attribution::Table>(env, table))
        .or_else(|_| of::<counters::Table>(env, table))
        .or_else(|_| of::<reach::Table>(env, table))
        .or_else(|_| of::<frequency_cap::Table>(env, table))
        .or_else(|_| of::<dedupe::Table>(env, table))
        .or_else(|_| of::<pacer::Table>(env, table))
}

/// Has a table belong to the calling process, under its name.
#[rustler::nif]
fn table_own<'a>(env: Env<'a>, table: Term<'a>, name: Atom) -> NifResult<Atom> {
    let (owner, object) = owner(env, table)?;
    owner.begin(name, env.pid());
    // SAFETY: it is where the table lies, which the term keeps alive.
    if !unsafe { resource::monitor_caller(env, object) } {
        owner.end();
    }
    Ok(atoms::ok())
}

/// Has every call with a table be refused from now on.
#[rustler::nif]
fn table_end<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Atom> {
    owner(env, table)?.0.end();
    Ok(atoms::ok())
}

struct Entry(ErlNifEntry);

// SAFETY: it is only read, and what it points to is leaked or static.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

fn entry() -> *const ErlNifEntry {
    static ENTRY: OnceLock<Entry> = OnceLock::new();
    let entry = ENTRY.get_or_init(|| {
        // Once: while a newer instance is loaded, others are inside of functions that use the symbols.
        // SAFETY: the VM has loaded the library, so it has those symbols.
        #[cfg(not(windows))]
        unsafe {
            rustler::codegen_runtime::internal_write_symbols();
        }
        let functions: Box<[ErlNifFunc]> = inventory::iter::<Nif>().map(Nif::get_def).collect();
        let mut entry = ErlNifEntry::new(c"Elixir.AdTally.Native", Box::leak(functions), load);
        entry.upgrade = Some(upgrade);
        Entry(entry)
    });
    &entry.0
}

/// What the VM looks for in a library.
#[cfg(not(windows))]
#[unsafe(no_mangle)]
extern "C" fn nif_init() -> *const ErlNifEntry {
    entry()
}

/// What the VM looks for in a library.
///
/// # Safety
/// The VM calls it with its functions.
#[cfg(windows)]
#[unsafe(no_mangle)]
unsafe extern "C" fn nif_init(functions: *mut rustler::codegen_runtime::DynNifCallbacks) -> *const ErlNifEntry {
    // SAFETY: this function's contract.
    unsafe { rustler::codegen_runtime::internal_set_symbols(functions) };
    entry()
}
