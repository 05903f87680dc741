//! Who there is, and whom they follow: made up from a seed, the same at every run.

use std::collections::BTreeSet;

use fastrand::Rng;

/// Whom an ordinary user follows.
const FOLLOWS_EACH: u32 = 10;
/// How many follow each user of a ring.
pub(super) const RING_FOLLOWERS: u32 = 10;

/// Users, numbered from 0 by how popular they are.
#[derive(Debug, Clone)]
pub(super) struct People {
    /// What their names begin with.
    pub(super) name: String,
    pub(super) users: u32,
    pub(super) seed: u64,
}

impl People {
    pub(super) fn user(&self, number: u32) -> String {
        format!("{}-u{number}", self.name)
    }

    pub(super) fn all(&self) -> Vec<String> {
        (0..self.users).map(|number| self.user(number)).collect()
    }

    /// Somebody who posts nothing and follows so many.
    pub(super) fn reader(&self, following: u32, number: u32) -> String {
        format!("{}-r{following}-{number}", self.name)
    }

    pub(super) fn star(&self) -> String {
        format!("{}-star", self.name)
    }

    /// Whom everybody follows in a network of a power law: the n-th most popular is drawn in
    /// proportion to 1/n. Pairs of names, follower first: the ordinary users', and those of so many
    /// readers who follow so many each.
    pub(super) fn network(&self, following: u32, readers: u32) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for number in 0..self.users {
            let drawn = self.draw(FOLLOWS_EACH, number.into(), Some(number));
            pairs.extend(drawn.into_iter().map(|author| (self.user(number), self.user(author))));
        }
        for number in 0..readers {
            let stream = u64::from(following) << 32 | u64::from(number);
            let drawn = self.draw(following, stream, None);
            let reader = self.reader(following, number);
            pairs.extend(drawn.into_iter().map(|author| (reader.clone(), self.user(author))));
        }
        pairs
    }

    /// So many users but one, or all that there are.
    fn draw(&self, count: u32, stream: u64, but: Option<u32>) -> BTreeSet<u32> {
        let others = self.users - u32::from(but.is_some());
        let count = count.min(others) as usize;
        if count * 2 > others as usize {
            // Drawing would find the last of them seldom.
            return (0..self.users).filter(|number| Some(*number) != but).take(count).collect();
        }
        let mut random = Rng::with_seed(self.seed ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut drawn = BTreeSet::new();
        while drawn.len() < count {
            let number = popular(self.users, &mut random);
            if Some(number) != but {
                drawn.insert(number);
            }
        }
        drawn
    }

    /// Pairs in which each user has as many followers as every other.
    pub(super) fn ring(&self) -> Vec<(String, String)> {
        let others = self.users.saturating_sub(1).min(RING_FOLLOWERS);
        let pairs = (0..self.users).flat_map(|author| {
            (1..=others).map(move |step| ((author + step) % self.users, author))
        });
        pairs.map(|(follower, author)| (self.user(follower), self.user(author))).collect()
    }

    /// The n-th pair of users of whom the first follows the second, each pair once; none when all were
    /// given.
    pub(super) fn pair(&self, step: u64) -> Option<(u32, u32)> {
        let users = u64::from(self.users);
        let (follower, apart) = (step % users, step / users + 1);
        let author = (follower + apart) % users;
        (apart < users).then_some((follower as u32, author as u32))
    }
}

/// Of `users`, in proportion to 1/n for the n-th.
fn popular(users: u32, random: &mut Rng) -> u32 {
    // The logarithm of what is drawn so is uniform.
    let drawn = (f64::from(users) + 1.0).powf(random.f64()) as u32;
    drawn.clamp(1, users) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn people(users: u32) -> People {
        People { name: "n".into(), users, seed: 7 }
    }

    #[test]
    fn a_network_is_the_same_for_a_seed_and_follows_a_power_law() {
        let people = people(1_000);
        let pairs = people.network(200, 5);
        assert_eq!(pairs, people.network(200, 5));
        assert_ne!(pairs, People { seed: 8, ..people.clone() }.network(200, 5));
        assert_eq!(pairs.len(), 1_000 * 10 + 5 * 200);
        assert_eq!(pairs.iter().collect::<BTreeSet<_>>().len(), pairs.len(), "each once");
        assert!(pairs.iter().all(|(follower, author)| follower != author));
        let mut followers = BTreeMap::<&str, u32>::new();
        for (_, author) in &pairs {
            *followers.entry(author).or_default() += 1;
        }
        let of = |from: u32, to: u32| -> u32 {
            (from..to).map(|n| followers.get(&*people.user(n)).copied().unwrap_or(0)).sum()
        };
        let (first, tens, hundreds) = (of(0, 10), of(10, 100), of(100, 1_000));
        // As many in each tenfold, but that nobody follows anybody twice.
        assert!(first > 1_500 && tens > 3_000 && hundreds < 6_000, "{first} {tens} {hundreds}");
    }

    #[test]
    fn few_users_are_followed_by_all() {
        assert_eq!(people(6).network(200, 2).len(), 6 * 5 + 2 * 6);
        assert_eq!(people(1).network(0, 0), []);
    }

    #[test]
    fn a_ring_gives_everybody_as_many_followers_and_pairs_come_once() {
        let people = people(30);
        let ring = people.ring();
        for author in people.all() {
            let followers: BTreeSet<_> =
                ring.iter().filter(|(_, of)| *of == author).map(|(follower, _)| follower).collect();
            assert!(followers.len() == 10 && !followers.contains(&author));
        }
        let pairs: Vec<_> = (0..).map_while(|step| people.pair(step)).collect();
        assert_eq!(pairs.iter().collect::<BTreeSet<_>>().len(), 30 * 29);
        assert_eq!(pairs.len(), 30 * 29);
        assert!(pairs.iter().all(|(follower, author)| follower != author));
    }
}
