//! Every place exactly once, in scattered order, without a table of them.

/// A permutation of `0..places`: a walk with a stride that shares no factor with the number.
#[derive(Debug, Clone, Copy)]
pub struct Scatter {
    places: u64,
    stride: u64,
    offset: u64,
}

impl Scatter {
    /// At most 2³² places; 0 counts as 1. The seed turns the walk's beginning and stride.
    #[must_use]
    pub fn new(places: u32, seed: u64) -> Self {
        let places = u64::from(places.max(1));
        // About the golden ratio of the whole: successive places lie far apart.
        let golden = (places as f64 * 0.618_033_988_749_895) as u64;
        let mut stride = (golden + seed % 1024).max(1);
        while greatest_common_divisor(stride, places) != 1 {
            stride += 1;
        }
        Self { places, stride, offset: seed % places }
    }

    /// The place of the n-th step; repeats after all places were given.
    #[must_use]
    pub fn place(&self, step: u64) -> u32 {
        let place = (step % self.places * (self.stride % self.places) + self.offset) % self.places;
        u32::try_from(place).expect("a place is below a number of places that fits 32 bits")
    }
}

fn greatest_common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_each_place_once() {
        for places in [1, 2, 3, 200, 1000, 4096] {
            for seed in [0, 1, 77, u64::MAX] {
                let scatter = Scatter::new(places, seed);
                let mut seen = vec![false; places as usize];
                for step in 0..u64::from(places) {
                    let place = scatter.place(step) as usize;
                    assert!(!seen[place]);
                    seen[place] = true;
                }
            }
        }
    }

    #[test]
    fn the_largest_number_does_not_overflow() {
        let scatter = Scatter::new(u32::MAX, u64::MAX);
        assert_ne!(scatter.place(u64::MAX), scatter.place(u64::MAX - 1));
    }
}
