//! `completion` and `man`: generated from the command line itself.

use clap::CommandFactory as _;

use crate::cli::Args;
use crate::failure::Failure;
use crate::output;

/// The name of the program; kubectl finds it by this name.
const NAME: &str = "kubectl-headwind";

/// Prints the completion script of a shell.
pub(super) fn completion(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command().bin_name(NAME), NAME, &mut script);
    // The script for bash gives commands of a program with a hyphen two different names.
    output::raw(String::from_utf8_lossy(&script).replace("kubectl__subcmd__headwind", "kubectl__headwind").as_bytes())
}

/// Prints the man page, with a section for each command.
pub(super) fn man() -> Result<(), Failure> {
    let mut command = Args::command();
    command.build();
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
        let page = clap_mangen::Man::new(one.clone());
        text.extend(format!(".SH {}\n", one.get_name().to_uppercase()).bytes());
        page.render_synopsis_section(&mut text)?;
        page.render_description_section(&mut text)?;
        page.render_options_section(&mut text)?;
    }
    output::raw(&text)
}
