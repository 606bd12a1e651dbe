//! Renders the `CustomResourceDefinitions` and the documents' tables of words:
//! `cargo run -p breakwater-crds --features kube --bin render-crds [-- --check]`.
//!
//! Writes `crds/yaml/*.yaml`, the chart's templates made of the same text, and what stands between the marker comments of
//! `controller/docs`. With `--check` nothing is written, and what is stale is named and fails.

use std::{env, fs, path::Path, process::ExitCode};

use breakwater_crds::render::{self, File};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => write(&root),
        ["--check"] => check(&root),
        _ => Err("usage: render-crds [--check]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn files(root: &Path) -> Result<Vec<File>, render::RenderError> {
    render::files(|path| fs::read_to_string(root.join(path)))
}

fn write(root: &Path) -> Done {
    for File { path, text } in files(root)? {
        let path = root.join(path);
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn check(root: &Path) -> Done {
    let is_stale = |file: &File| fs::read_to_string(root.join(&file.path)).ok().as_ref() != Some(&file.text);
    let stale: Vec<String> = files(root)?
        .iter()
        .filter(|file| is_stale(file))
        .map(|file| file.path.display().to_string())
        .collect();
    if stale.is_empty() {
        Ok(())
    } else {
        Err(format!("stale, render them anew: {}", stale.join(", ")).into())
    }
}
