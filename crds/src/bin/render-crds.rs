//! Renders the `CustomResourceDefinitions`: `cargo run -p breakwater-crds --features kube --bin render-crds`.
//!
//! Writes `crds/yaml/*.yaml` and the chart's templates made of the same text. A test fails where they are stale.

use std::{fs, path::Path, process::ExitCode};

use breakwater_crds::render;

fn main() -> ExitCode {
    match write(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    for render::File { path, text } in render::files()? {
        let path = root.join(path);
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
