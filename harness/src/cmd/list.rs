//! `freezeframe list`: the names people type.

use anyhow::Result;
use clap::Args as ClapArgs;
use contract::{Manifest, Scenario, exit};
use serde_json::json;

/// List systems, scenarios, plans and embedded clips
#[derive(ClapArgs, Debug)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<i32> {
    let systems: Vec<_> = Manifest::shipped().into_iter().map(|m| (m.name.to_string(), m.about)).collect();
    let scenarios: Vec<_> =
        Scenario::shipped().into_iter().map(|s| (s.name.to_string(), s.description)).collect();
    let plans: Vec<_> = crate::plan::SHIPPED
        .iter()
        .map(|(name, _)| Ok(((*name).to_owned(), crate::plan::Plan::find(name)?.description)))
        .collect::<Result<_>>()?;
    let clips = vec![(
        "person-0".to_owned(),
        "embedded talking head with exact depth; person-1, person-2, ... are others".to_owned(),
    )];
    let groups = [("systems", systems), ("scenarios", scenarios), ("plans", plans), ("clips", clips)];
    if args.json {
        let object: serde_json::Map<_, _> = groups
            .into_iter()
            .map(|(k, rows)| {
                let rows = rows
                    .into_iter()
                    .map(|(name, about)| json!({"name": name, "about": about}))
                    .collect::<Vec<_>>();
                (k.to_owned(), json!(rows))
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&object)?);
        return Ok(exit::OK);
    }
    for (title, rows) in groups {
        println!("{title}");
        let width = rows.iter().map(|(n, _)| n.len()).max().unwrap_or(0);
        for (name, about) in rows {
            println!("  {name:width$}  {about}");
        }
        println!();
    }
    Ok(exit::OK)
}
