//! Writes what a package needs beside the programs, from the one definition of the command line
//! and the one text of `primcs config default`: man pages and shell completions.
//!
//! `cargo run --example manual -- DIR DATE`. An example, so that neither program carries the
//! generators. Trusts its own two arguments; packaging/build gives them.
#![forbid(unsafe_code)]

mod pages;

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, date] = arguments.as_slice() else {
        return Err("usage: manual DIR DATE".into());
    };
    let man = Path::new(folder).join("man");
    fs::create_dir_all(&man)?;
    for (name, page) in pages::all(date)? {
        fs::write(man.join(name), page)?;
    }
    for (shell, name) in pages::COMPLETIONS {
        let completions = Path::new(folder).join("completions").join(shell.to_string());
        fs::create_dir_all(&completions)?;
        fs::write(completions.join(name), pages::completion(*shell))?;
    }
    Ok(())
}
