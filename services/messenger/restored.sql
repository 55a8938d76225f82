-- What `headrace restored` does in this schema, in one transaction with the other services'.
--
-- The new epoch is higher than any before, even if this backup was restored once before: Postgres' clock in steps
-- of ten seconds, far beyond what counting up comes to. Until the refill is done, another call keeps what the
-- backup said.
UPDATE store SET
    restored_from = CASE WHEN refilled THEN epoch ELSE restored_from END,
    epoch = greatest(epoch + 1, floor(extract(epoch FROM clock_timestamp()) / 10)::integer),
    restored_at = floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,
    refilled = false;
-- Numbers go on: what the backup had not published yet is published in the new epoch.
UPDATE outcome_published SET epoch = store.epoch FROM store;
