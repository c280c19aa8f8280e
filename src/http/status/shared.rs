//! One value for all who ask at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// What is made for those who ask, never twice at a time. Everybody gets one
/// whose making began after they asked.
#[derive(Debug)]
pub struct Shared<T> {
    /// Makings that began.
    begun: AtomicU64,
    /// The latest, and the number of its making.
    latest: Mutex<Option<(u64, Arc<T>)>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self {
            begun: AtomicU64::new(0),
            latest: Mutex::default(),
        }
    }
}

impl<T> Shared<T> {
    /// The value, by `make` where nobody else made one since this call.
    ///
    /// # Errors
    /// Those of `make`; the next who waits tries again.
    pub async fn get<E>(&self, make: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let asked = self.begun.load(Ordering::SeqCst);
        let mut latest = self.latest.lock().await;
        if let Some((number, value)) = &*latest
            && *number > asked
        {
            return Ok(Arc::clone(value));
        }
        // Only who holds the lock adds.
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let value = Arc::new(make.await?);
        *latest = Some((number, Arc::clone(&value)));
        drop(latest);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::AtomicUsize;

    use futures_util::future::join_all;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn many_at_once_share_one_that_began_after_they_asked() {
        let (shared, now, makers) = (Shared::default(), AtomicU64::new(0), AtomicUsize::new(0));
        let count = AtomicUsize::new(0);
        let make = || async {
            let value = now.load(Ordering::SeqCst);
            assert_eq!(makers.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
            for _ in 0..10 {
                yield_now().await;
            }
            makers.fetch_sub(1, Ordering::SeqCst);
            count.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Infallible>(value)
        };
        let ask = |later: u64| {
            let (shared, now) = (&shared, &now);
            async move {
                for _ in 0..later {
                    yield_now().await;
                }
                let asked = now.fetch_add(1, Ordering::SeqCst) + 1;
                let value = *shared.get(make()).await.unwrap();
                assert!(value >= asked, "{value} is older than {asked}");
            }
        };
        join_all((0..100).map(|number| ask(number / 20))).await;
        assert!(count.load(Ordering::SeqCst) <= 3, "{count:?}");
    }

    #[tokio::test]
    async fn who_comes_later_gets_another() {
        let shared = Shared::default();
        for number in 0..3 {
            let value = shared.get(async { Ok::<_, Infallible>(number) }).await;
            assert_eq!(*value.unwrap(), number);
        }
    }

    #[tokio::test]
    async fn an_error_is_for_one_alone() {
        let shared = Shared::default();
        let (bad, good) = tokio::join!(
            shared.get(async {
                yield_now().await;
                Err::<u8, _>("no")
            }),
            shared.get(async { Ok::<u8, &str>(7) }),
        );
        assert_eq!((bad.unwrap_err(), *good.unwrap()), ("no", 7));
    }
}
