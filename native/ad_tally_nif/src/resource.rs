//! Rust values that Elixir holds a reference to.
//!
//! rustler's own resource types are found through a hash map on every call. Here a type's pointer lies in a static
//! that is written once, when the library is loaded, and read from then on: 4 ns an argument instead of 17.
//!
//! References are read where they lie, as other terms are (see `terms`), which takes 2.5 ns of those 4 off:
//!
//! ```text
//! reference         address | 2     to [2 << 6 | kind of term][address of the VM's object][...]
//! the VM's object   [flags][count][size][destructor][number, 2 words][resource type][...][the value...]
//! ```
//!
//! A reference without an object has no address in its second word, but 32 bits that are ones. Objects are not only
//! resources: those have one destructor, the VM's own, which `calibrate` finds in two of them, and only they have a
//! type. When anything is otherwise than drawn, or turns out to be no resource of the type, the VM is asked.

use std::ffi::CStr;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU64};

use rustler::sys::{
    ErlNifEnv, ErlNifResourceFlags, ErlNifResourceType, c_void, enif_alloc_resource, enif_get_resource,
    enif_keep_resource, enif_make_resource, enif_open_resource_type, enif_release_resource,
};
use rustler::{Encoder, Env, Term};

use crate::refusal::{self, Refusal};
use crate::terms::{self, Raw};

/// The VM's pointer to a resource type, null until the library is loaded.
pub struct Kind(AtomicPtr<ErlNifResourceType>);

impl Kind {
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

/// A type whose values Elixir can hold. References from any process share one value, hence `Sync`.
pub trait Resource: Sized + Send + Sync + 'static {
    /// The type's name within this library.
    const NAME: &'static CStr;
    /// What a caller calls such a value, for errors: "an AdTally.Counters table".
    const DESCRIPTION: &'static str;
    /// Where the type's pointer lies.
    fn kind() -> &'static Kind;
}

/// Implements [`Resource`].
macro_rules! resource {
    ($type:ty, $name:literal, $description:literal) => {
        impl $crate::resource::Resource for $type {
            const NAME: &'static std::ffi::CStr = $name;
            const DESCRIPTION: &'static str = $description;

            #[inline(always)]
            fn kind() -> &'static $crate::resource::Kind {
                static KIND: $crate::resource::Kind = $crate::resource::Kind::new();
                &KIND
            }
        }
    };
}
pub(crate) use resource;

/// Makes the type known to the VM. Called once, while the library is loaded.
pub fn register<T: Resource>(env: Env<'_>) -> bool {
    // The VM aligns what it allocates for a resource to 8 bytes at least.
    const { assert!(align_of::<T>() <= 8) };
    let flags = ErlNifResourceFlags::ERL_NIF_RT_CREATE;
    let mut tried = ErlNifResourceFlags::ERL_NIF_RT_CREATE;
    // SAFETY: the environment is that of the load callback, the name is a C string, and the destructor drops the type
    // that `make` writes into resources of this kind.
    let kind = unsafe {
        enif_open_resource_type(env.as_c_arg(), ptr::null(), T::NAME.as_ptr(), Some(destroy::<T>), flags, &mut tried)
    };
    T::kind().0.store(kind.cast_mut(), Release);
    !kind.is_null()
}

unsafe extern "C" fn destroy<T: Resource>(_env: *mut ErlNifEnv, object: *mut c_void) {
    // A panic must not unwind into the VM. The value is lost either way.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the VM passes an object of this kind, once, when nobody refers to it any more; `make` wrote a `T` there.
        unsafe { ptr::drop_in_place(object.cast::<T>()) }
    }));
}

/// A reference to a new resource that holds `value`.
pub fn make<T: Resource>(env: Env<'_>, value: T) -> Term<'_> {
    // SAFETY: the kind was opened when the library was loaded (or no function of it could be called), the memory is
    // large enough and aligned for a `T`, which is written before anyone sees the reference. Releasing our own claim
    // leaves the term as the only one.
    unsafe {
        let object = enif_alloc_resource(T::kind().0.load(Acquire), size_of::<T>());
        object.cast::<T>().write(value);
        let term = enif_make_resource(env.as_c_arg(), object);
        enif_release_resource(object);
        Term::new(env, term)
    }
}

/// A share in a resource that lasts longer than a call.
pub struct Kept<T: Resource>(NonNull<T>);

// SAFETY: the VM counts the references to a resource from any thread, and its value is shared by threads anyway.
unsafe impl<T: Resource> Send for Kept<T> {}
// SAFETY: as above.
unsafe impl<T: Resource> Sync for Kept<T> {}

impl<T: Resource> Kept<T> {
    /// In the resource that a term refers to.
    pub fn of(term: Term<'_>) -> Result<Self, Refusal> {
        let value = NonNull::from(expect::<T>(term)?);
        // SAFETY: it lies in the resource, which the term keeps alive until this one does as well.
        unsafe { enif_keep_resource(value.as_ptr().cast()) };
        Ok(Self(value))
    }
}

impl<T: Resource> Deref for Kept<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the resource is kept alive.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Resource> Drop for Kept<T> {
    fn drop(&mut self) {
        // SAFETY: `of` has taken the share.
        unsafe { enif_release_resource(self.0.as_ptr().cast()) };
    }
}

/// The value a term refers to, or what is raised if it is no reference to one of that type.
#[inline(always)]
pub fn read<'a, T: Resource>(env: Env<'a>, term: Raw<'a>) -> Result<&'a T, Refusal> {
    // Relaxed: the kind is written before the VM lets any process call into the library.
    let kind = T::kind().0.load(Relaxed);
    let object = object(term, kind).or_else(|| object_by_call(env, term, kind));
    let object = object.ok_or_else(|| refusal::not_a(T::DESCRIPTION, term.in_env(env)))?;
    // SAFETY: it is an object of this kind, so `make` wrote a `T` there. The term keeps it alive, and the term lives as
    // long as its environment, whose lifetime the reference has.
    Ok(unsafe { object.cast::<T>().as_ref() })
}

#[inline(never)]
fn object_by_call<'a>(env: Env<'a>, term: Raw<'a>, kind: *const ErlNifResourceType) -> Option<NonNull<c_void>> {
    let mut object = ptr::null();
    // SAFETY: the term belongs to the environment.
    let found = unsafe { enif_get_resource(env.as_c_arg(), term.in_env(env).as_c_arg(), kind, &mut object) };
    if found == 0 { None } else { NonNull::new(object.cast_mut()) }
}

/// The destructor of all resources, or that the VM is to be asked.
static DESTRUCTOR: AtomicU64 = AtomicU64::new(UNKNOWN);
const UNKNOWN: u64 = 0;

/// The header of a reference of this node, whether it has an object or not.
const REFERENCE: u64 = 2 << 6 | 4 << 2;
/// What no address has.
const NO_ADDRESS: u64 = 7;
/// Words of the VM's object.
const SIZE_AT: usize = 2;
const DESTRUCTOR_AT: usize = 3;
const KIND_AT: usize = 6;
const VALUE_AT: usize = 8;

/// Where the value of a resource of that kind lies, if the term is seen to be one.
#[inline(always)]
fn object(term: Raw<'_>, kind: *const ErlNifResourceType) -> Option<NonNull<c_void>> {
    let destructor = DESTRUCTOR.load(Relaxed);
    if destructor == UNKNOWN {
        return None;
    }
    let object = object_of(term)?;
    // SAFETY: every object of the VM has a destructor, and those with the resources' one have a kind. `calibrate` has
    // seen where.
    unsafe {
        let is_kind = *object.add(DESTRUCTOR_AT) == destructor && *object.add(KIND_AT) == kind.addr() as u64;
        if is_kind { NonNull::new(object.add(VALUE_AT).cast_mut().cast()) } else { None }
    }
}

/// The VM's object that a reference has.
#[inline(always)]
fn object_of(term: Raw<'_>) -> Option<*const u64> {
    let words = terms::boxed_words(term)?;
    // SAFETY: a boxed term points to a header, and that of a reference is followed by two words.
    unsafe {
        let address = *words.add(1);
        (*words == REFERENCE && address & NO_ADDRESS == 0).then_some(address as *const u64)
    }
}

/// Two kinds of different sizes, for `calibrate`.
struct One {
    _words: [u64; 1],
}
struct Nine {
    _words: [u64; 9],
}
resource!(One, c"one", "a resource of one word");
resource!(Nine, c"nine", "a resource of nine words");

/// Makes the kinds known that `calibrate` asks for. Called once, while the library is loaded.
pub fn register_own(env: Env<'_>) -> bool {
    register::<One>(env) && register::<Nine>(env)
}

/// Finds out whether resources lie as drawn above. Asked after `terms` has found out about other terms.
pub fn calibrate(env: Env<'_>) {
    let [one, nine] = [seen(env, One { _words: [1] }), seen(env, Nine { _words: [9; 9] })];
    let ordinary_differs = object_of(env.make_ref().encode(env).into()).is_none();
    let destructor = match (one, nine) {
        (Some(one), Some(nine)) if one == nine && ordinary_differs => one,
        _ => UNKNOWN,
    };
    DESTRUCTOR.store(destructor, Relaxed);
}

/// Whether resources are read in place.
pub fn is_layout_known() -> bool {
    DESTRUCTOR.load(Relaxed) != UNKNOWN
}

/// Has the VM asked from now on. `calibrate` takes it back.
pub fn forget_layout() {
    DESTRUCTOR.store(UNKNOWN, Relaxed);
}

/// The destructor of a resource of that value, if it lies as drawn above.
fn seen<T: Resource>(env: Env<'_>, value: T) -> Option<u64> {
    // The ones of a reference without an object are where an address has its lowest bits on such machines only.
    if terms::layout() == terms::Known::Unknown || cfg!(target_endian = "big") {
        return None;
    }
    let term = make(env, value);
    let kind = T::kind().0.load(Relaxed);
    let (object, value) = (object_of(term.into())?, object_by_call(env, term.into(), kind)?);
    if object.addr() + VALUE_AT * size_of::<u64>() != value.addr().get() {
        return None;
    }
    // SAFETY: the VM says where the value lies, and up to there its object is the VM's memory.
    let words = unsafe { std::slice::from_raw_parts(object, VALUE_AT) };
    // What the VM adds to a value's size is the same for all.
    let overhead = ((VALUE_AT - SIZE_AT - 1) * size_of::<u64>()) as u64;
    let matches = words[KIND_AT] == kind.addr() as u64 && words[SIZE_AT] == size_of::<T>() as u64 + overhead;
    matches.then_some(words[DESTRUCTOR_AT])
}

/// The same of a term that has its environment with it.
pub fn expect<T: Resource>(term: Term<'_>) -> Result<&T, Refusal> {
    read(term.get_env(), term.into())
}
