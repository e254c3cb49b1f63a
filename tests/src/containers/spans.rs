//! How long the parts of an execution take: the spans that the container backend names.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// What was measured since the last look. Shared with the subscriber that fills it.
#[derive(Clone, Default)]
pub struct Spans(Arc<Mutex<Vec<(&'static str, Duration)>>>);

impl Spans {
    /// Returns what is filled by all spans of this thread for as long as the guard lives.
    pub fn collected() -> (Self, DefaultGuard) {
        let spans = Self::default();
        let guard = tracing_subscriber::registry()
            .with(spans.clone())
            .set_default();
        (spans, guard)
    }

    /// Returns what was measured since the last time, in order of ends.
    pub fn take(&self) -> Vec<(&'static str, Duration)> {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut spans)
    }
}

/// When a span began.
struct Began(Instant);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Began(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let is_ours = span.metadata().target().starts_with("autoclave_runner");
        if let Some(Began(began)) = span.extensions().get().filter(|_| is_ours) {
            let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            spans.push((span.name(), began.elapsed()));
        }
    }
}
