//! Rust values that Elixir holds a reference to.
//!
//! rustler's own resource types are found through a hash map on every call. Here a type's pointer lies in a static
//! that is written once, when the library is loaded, and read from then on: 4 ns an argument instead of 17. The VM is
//! asked for the value of a reference: how it lays resources out changes between its releases, and reading them in place
//! would save 1 to 3 ns.

use std::ffi::CStr;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use rustler::sys::{
    ErlNifEnv, ErlNifMonitor, ErlNifPid, ErlNifResourceDown, ErlNifResourceDtor, ErlNifResourceFlags,
    ErlNifResourceType, ErlNifResourceTypeInit, c_void, enif_alloc_resource, enif_get_resource,
    enif_init_resource_type, enif_keep_resource, enif_make_resource, enif_monitor_process, enif_release_resource,
};
use rustler::{Env, LocalPid, Term};

use crate::decode::{BadArgument, Raw, bad_argument};
use crate::owner::Owner;

/// The VM's pointer to a resource type, null until the library is loaded.
pub type Kind = AtomicPtr<ErlNifResourceType>;

/// A type whose values Elixir can hold. References from any process share one value, hence `Sync`.
pub trait Resource: Sized + Send + Sync + 'static {
    /// The type's name within this library.
    const NAME: &'static CStr;
    /// What a caller calls such a value, for errors: "an AdTally.Counters table".
    const DESCRIPTION: &'static str;
    /// Where the type's pointer lies.
    const KIND: &'static Kind;

    /// The process it belongs to, for a type that may belong to one.
    const OWNER: Option<fn(&Self) -> &Owner> = None;
}

/// Implements [`Resource`], for a type that may belong to a process with the field that says to which.
macro_rules! resource {
    ($type:ty, $name:literal, $description:literal $(, owner: $owner:tt)?) => {
        impl $crate::resource::Resource for $type {
            const NAME: &'static std::ffi::CStr = $name;
            const DESCRIPTION: &'static str = $description;

            const KIND: &'static $crate::resource::Kind = {
                static KIND: $crate::resource::Kind = $crate::resource::Kind::new(std::ptr::null_mut());
                &KIND
            };
            $( const OWNER: Option<fn(&Self) -> &$crate::owner::Owner> = Some(|value| &value.$owner); )?
        }
    };
}
pub(crate) use resource;

/// Makes the type known to the VM, or takes it over from an older instance of the library's module. Called while the
/// library is loaded.
pub fn open<T: Resource>(env: Env<'_>, how: ErlNifResourceFlags) -> bool {
    // The VM aligns what it allocates for a resource to 8 bytes at least.
    const { assert!(align_of::<T>() <= 8) };
    let mut tried = how;
    let init = ErlNifResourceTypeInit {
        dtor: destroy::<T> as *const ErlNifResourceDtor,
        stop: ptr::null(),
        // With one, the VM makes room for monitors in every resource.
        down: if T::OWNER.is_some() { down::<T> as *const ErlNifResourceDown } else { ptr::null() },
        // The first three.
        members: 3,
        dyncall: ptr::null(),
    };
    // SAFETY: the environment is that of the load callback, the name is a C string, and the callbacks drop and read the
    // type that `Kept::new` writes into resources of this kind.
    let kind = unsafe { enif_init_resource_type(env.as_c_arg(), T::NAME.as_ptr(), &init, how, &mut tried) };
    if kind.is_null() {
        return false;
    }
    // One that is taken over stays where it is.
    T::KIND.store(kind.cast_mut(), Release);
    true
}

/// Allocates a resource that is never released: the VM keeps a library loaded while there is one of a type with a
/// destructor.
pub fn keep_for_ever<T: Resource>() {
    // SAFETY: the kind was opened. There is nothing in the resource, and it is not dropped.
    unsafe { enif_alloc_resource(T::KIND.load(Acquire), size_of::<usize>()) };
}

unsafe extern "C" fn destroy<T: Resource>(_env: *mut ErlNifEnv, object: *mut c_void) {
    // A panic must not unwind into the VM. The value is lost either way.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the VM passes an object of this kind, once, when nobody refers to it any more; `Kept::new` wrote a `T` there.
        unsafe { ptr::drop_in_place(object.cast::<T>()) }
    }));
}

/// A process that is monitored for a resource ends. Called by a scheduler in the middle of that.
unsafe extern "C" fn down<T: Resource>(
    _env: *mut ErlNifEnv,
    object: *mut c_void,
    process: *const ErlNifPid,
    _monitor: *const ErlNifMonitor,
) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the VM passes an object of this kind, which it keeps alive meanwhile; `Kept::new` wrote a `T` there. It passes
        // which process ends.
        let (value, process) = unsafe { (&*object.cast::<T>(), LocalPid::from_c_arg(*process)) };
        owner(value).map(|owner| owner.down(&process))
    }));
}

/// Has the VM call `down` when the calling process ends. False if it is ending already.
///
/// # Safety
/// A value of a type that has an owner lies there, in a resource that is alive.
pub unsafe fn monitor_caller(env: Env<'_>, object: *const c_void) -> bool {
    let caller = env.pid();
    // SAFETY: the environment is that of a process' call, and the rest is this function's contract. A null pointer for the
    // monitor says that nobody takes it back.
    unsafe { enif_monitor_process(env.as_c_arg(), object.cast_mut(), caller.as_c_arg(), ptr::null_mut()) == 0 }
}

/// A reference to a new resource that holds `value`.
pub fn make<T: Resource>(env: Env<'_>, value: T) -> Term<'_> {
    // Its own share ends here, and leaves the term as the only one.
    Kept::new(value).term(env)
}

/// A share in a resource that lasts longer than a call.
pub struct Kept<T: Resource>(NonNull<T>);

// SAFETY: the VM counts the references to a resource from any thread, and its value is shared by threads anyway.
unsafe impl<T: Resource> Send for Kept<T> {}
// SAFETY: as above.
unsafe impl<T: Resource> Sync for Kept<T> {}

impl<T: Resource> Kept<T> {
    /// In a new resource that holds `value`, which nobody else refers to yet.
    pub fn new(value: T) -> Self {
        // SAFETY: the kind was opened when the library was loaded (or no function of it could be called), the memory is large
        // enough and aligned for a `T`, which is written before anyone sees a reference. The VM ends where it has no memory.
        // The share of whoever allocates it is this one.
        unsafe {
            let object = enif_alloc_resource(T::KIND.load(Acquire), size_of::<T>()).cast::<T>();
            object.write(value);
            Self(NonNull::new_unchecked(object))
        }
    }

    /// A reference to the resource.
    pub fn term<'a>(&self, env: Env<'a>) -> Term<'a> {
        // SAFETY: it is a resource that is alive. The term has a share of its own.
        unsafe { Term::new(env, enif_make_resource(env.as_c_arg(), self.0.as_ptr().cast())) }
    }

    /// In the resource that a term refers to.
    pub fn of(term: Term<'_>) -> Result<Self, BadArgument> {
        let value = NonNull::from(expect::<T>(term)?);
        // SAFETY: it lies in the resource, which the term keeps alive until this one does as well.
        unsafe { enif_keep_resource(value.as_ptr().cast()) };
        Ok(Self(value))
    }
}

impl<T: Resource> Clone for Kept<T> {
    fn clone(&self) -> Self {
        // SAFETY: it is kept alive by this share, and then by both.
        unsafe { enif_keep_resource(self.0.as_ptr().cast()) };
        Self(self.0)
    }
}

impl<T: Resource> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the resource is kept alive.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Resource> Drop for Kept<T> {
    fn drop(&mut self) {
        // SAFETY: this share was taken when it was made.
        unsafe { enif_release_resource(self.0.as_ptr().cast()) };
    }
}

/// The process that a value belongs to, of a type that may belong to one.
#[inline(always)]
pub fn owner<T: Resource>(value: &T) -> Option<&Owner> {
    T::OWNER.map(|owner| owner(value))
}

/// The value a term refers to, or what is raised if it is no reference to one of that type, or its owner has ended.
#[inline(always)]
pub fn read<'a, T: Resource>(env: Env<'a>, term: Raw<'a>) -> Result<&'a T, BadArgument> {
    let value = of_type::<T>(env, term)?;
    check_owner(env, value)?;
    Ok(value)
}

/// What is raised if its owner has ended.
#[inline(always)]
pub fn check_owner<T: Resource>(env: Env<'_>, value: &T) -> Result<(), BadArgument> {
    match owner(value) {
        Some(owner) if owner.has_ended() => Err(owner.not_running(env)),
        _ => Ok(()),
    }
}

/// What is raised if its owner has ended, where a call has changed nothing because its store does not take it. The table may have ended
/// since the call has asked whether it runs.
#[cold]
pub fn check_owner_again<T: Resource>(env: Env<'_>, value: &T) -> Result<(), BadArgument> {
    check_owner(env, value)
}

/// What is raised if its owner has ended, or has left it in order.
pub fn check_runs<T: Resource>(env: Env<'_>, value: &T) -> Result<(), BadArgument> {
    match owner(value) {
        Some(owner) if owner.has_ended() || owner.has_left() => Err(owner.not_running(env)),
        _ => Ok(()),
    }
}

/// The value a term refers to, whatever became of its owner.
#[inline(always)]
pub fn of_type<'a, T: Resource>(env: Env<'a>, term: Raw<'a>) -> Result<&'a T, BadArgument> {
    // Relaxed: the kind is written before the VM lets any process call into the library.
    let kind = T::KIND.load(Relaxed);
    let object = object(env, term, kind).ok_or_else(|| bad_argument::not_a(T::DESCRIPTION, term.in_env(env)))?;
    // SAFETY: it is an object of this kind, so `Kept::new` wrote a `T` there. The term keeps it alive, and the term lives as
    // long as its environment, whose lifetime the reference has.
    Ok(unsafe { object.cast::<T>().as_ref() })
}

/// Where the value of a resource of that kind lies, if the term refers to one.
#[inline(always)]
fn object<'a>(env: Env<'a>, term: Raw<'a>, kind: *const ErlNifResourceType) -> Option<NonNull<c_void>> {
    let mut object = ptr::null();
    // SAFETY: the term belongs to the environment.
    let found = unsafe { enif_get_resource(env.as_c_arg(), term.in_env(env).as_c_arg(), kind, &mut object) };
    if found == 0 { None } else { NonNull::new(object.cast_mut()) }
}

/// As `read`, of a term that has its environment with it.
pub fn expect<T: Resource>(term: Term<'_>) -> Result<&T, BadArgument> {
    read(term.get_env(), term.into())
}
