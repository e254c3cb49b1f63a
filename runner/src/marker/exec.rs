//! The marker that stands for a bare command of `autoclave exec`.

use std::io;

use super::{Dialect, Marker, parse_config};

const TEXT: &str = "markers: [{name: exec, target: {mutable: ['*']}, \
                    metric: {command: 'true', extract: cat, direction: lower}}]";

impl Marker {
    /// Returns a marker with every default under which only paths that match `writable` may
    /// change; none at all when it is empty.
    pub fn for_exec(writable: &[String]) -> Self {
        let no_files = |_: &str| Err(io::ErrorKind::NotFound.into());
        let config = parse_config(TEXT, "exec", Dialect::Autoclave, &no_files)
            .expect("the text is constant");
        let mut marker = config
            .markers
            .into_iter()
            .next()
            .expect("the text holds one marker");
        marker.target.mutable = writable.to_vec();
        marker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_globs_are_mutable() {
        assert_eq!(Marker::for_exec(&[]).target.mutable, Vec::<String>::new());
        assert_eq!(
            Marker::for_exec(&["src/**".into()]).target.mutable,
            ["src/**"]
        );
    }
}
