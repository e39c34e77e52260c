//! Prints the tables of false alarms and of found differences in docs/METRICS.md: `just false-alarms [REPETITIONS]`.

fn main() {
    let repetitions = std::env::args().nth(1).map_or(Ok(1_000), |text| text.parse());
    match repetitions {
        Ok(repetitions) if repetitions > 0 => {
            print!("{}", freezeframe::report::false_alarms::tables(repetitions));
        }
        _ => {
            eprintln!(
                "false_alarms: the only argument is how many reports to make up, a whole number above 0"
            );
            std::process::exit(contract::exit::BAD_INPUT);
        }
    }
}
