//! scratch
use evenkeel_drill::sim::*;
fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    for seed in a[0]..a[1] {
        for scene in [Scene::Cluster, Scene::Local] {
            let plan = Plan::new(seed, scene, Size::USUAL);
            let r = run(&plan, Broken::default());
            if !r.verdict.is_valid() {
                    println!("seed {seed} {scene:?} depth {}", plan.depth);
                    for v in &r.verdict.violations { println!("  {v}"); 
                      if let Some(evenkeel_drill::checker::Evidence::Operation(i)) = v.events.first() { let res = &r.history.operations[*i].resource; for (n, o) in r.history.operations.iter().enumerate().filter(|(_, o)| o.resource == *res) { println!("   {n}: c{} k{:?} {:?} {} -> {:?}", o.client, o.key, o.request, o.called, o.returned); } } }
                    println!("  undecided {:?}", r.verdict.undecided);
                    for t in &r.trace { println!("    {t}"); }
            }
        }
    }
}
