//! Looks at what the layers of a network give, for comparing them with another implementation's.

use std::cell::RefCell;
use tch::{Tensor, nn};

type Look = Box<dyn FnMut(&str, &Tensor)>;

thread_local! {
    static LOOK: RefCell<Option<Look>> = const { RefCell::new(None) };
}

/// Runs `work` on this thread and gives `look` the name (its path of keys) and output of every block and layer on the way.
pub fn watched<T>(look: impl FnMut(&str, &Tensor) + 'static, work: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            LOOK.set(None);
        }
    }
    let _reset = Reset;
    LOOK.set(Some(Box::new(look)));
    work()
}

pub(crate) fn show(name: &str, output: &Tensor) {
    LOOK.with_borrow_mut(|look| {
        if let Some(look) = look {
            look(name, output);
        }
    });
}

pub(crate) fn name(path: &nn::Path) -> String {
    path.components().collect::<Vec<_>>().join(".")
}
