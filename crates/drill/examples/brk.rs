//! scratch
use evenkeel_drill::breakages::*;
fn main() {
    for b in BREAKAGES {
        let t = std::time::Instant::now();
        match b.find(None, 3000) {
            Found::Counterexample(c) => println!("=== {} {:?}\n{c}", b.name, t.elapsed()),
            Found::DoubleSales(c) => println!("=== {} {:?}\n{c}", b.name, t.elapsed()),
            Found::Nothing { seeds } => println!("=== {} NOTHING in {seeds} {:?}", b.name, t.elapsed()),
        }
    }
}
