-- What `headrace restored` does in this schema, in one transaction with the other services'.
--
-- Where the outputs stood in the backup is kept until the log was searched from there; another call changes none of
-- it. The new epoch is higher than any before, even if this backup was restored once before: Postgres' clock in
-- steps of ten seconds, far beyond what counting up comes to.
DELETE FROM restored_counter WHERE (SELECT erasures_read FROM deployment);
INSERT INTO restored_counter SELECT q, epoch, next_seq, published_offset FROM counter ON CONFLICT DO NOTHING;
UPDATE deployment SET erasures_read = false,
    restored_at = floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;
UPDATE counter SET epoch = greatest(highest.epoch + 1, floor(extract(epoch FROM clock_timestamp()) / 10)::integer)
FROM (SELECT max(epoch) AS epoch FROM counter) AS highest;
