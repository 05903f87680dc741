-- What the consumers write to. `balance` is the effect that must happen once for each job.
create table accounts (account text primary key, balance bigint not null);
-- One row a job whose effect has happened.
create table credited (job text primary key, fence bigint not null, amount bigint not null);
