# SPDX-License-Identifier: AGPL-3.0-or-later
"""The statements of the writing side; each takes a batch as columns.

New rows are copied instead, which costs both sides about half: see `rows` for their columns.
"""

MEMBERS = """
SELECT attacker_uuid, identity_uuid FROM members WHERE attacker_uuid = ANY($1::uuid[])
"""
ADD_MEMBERS = """
INSERT INTO members (attacker_uuid, identity_uuid, stub)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::boolean[])
ON CONFLICT (attacker_uuid) DO NOTHING
"""
PRIOR = """
SELECT key, identity_uuid, attacker_uuid, observed_at, produced_at, confidence, primitive, value,
       observation_id, evidence_ref, source
FROM observations WHERE key = ANY($1::uuid[])
"""
# The limit keeps the planner from joining the whole table to a handful of keys.
STATES = """
SELECT s.identity_uuid, s.primitive, s.value, s.state, s.confidence, s.observation_count,
       s.changed_at
FROM unnest($1::uuid[], $2::text[]) AS k (identity_uuid, primitive)
CROSS JOIN LATERAL (
    SELECT * FROM states
    WHERE identity_uuid = k.identity_uuid AND primitive = k.primitive LIMIT 1
) AS s
"""
SAMPLES = """
SELECT k.place, o.observed_at, o.key, o.value
FROM unnest($1::uuid[], $2::text[], $3::int[])
     WITH ORDINALITY AS k (identity_uuid, primitive, depth, place)
CROSS JOIN LATERAL (
    SELECT observed_at, key, value FROM observations
    WHERE identity_uuid = k.identity_uuid AND primitive = k.primitive
    ORDER BY observed_at DESC, key DESC LIMIT k.depth
) AS o
"""
COUNTS = """
SELECT k.identity_uuid, k.primitive, c.count
FROM unnest($1::uuid[], $2::text[]) AS k (identity_uuid, primitive)
CROSS JOIN LATERAL (
    SELECT count(*) FROM observations
    WHERE identity_uuid = k.identity_uuid AND primitive = k.primitive
) AS c
"""
REPLACE_OBSERVATIONS = """
UPDATE observations AS o SET
    identity_uuid = n.identity_uuid, attacker_uuid = n.attacker_uuid, observed_at = n.observed_at,
    produced_at = n.produced_at, confidence = n.confidence, value = n.value,
    observation_id = n.observation_id, source = n.source
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[],
            $6::float8[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[])
    AS n (key, identity_uuid, attacker_uuid, observed_at, produced_at, confidence, primitive,
          value, observation_id, evidence_ref, source)
WHERE o.key = n.key
"""
WRITE_STATES = """
INSERT INTO states (identity_uuid, primitive, value, state, confidence, observation_count,
                    changed_at, observed_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::bigint[],
                     $7::timestamptz[], $8::timestamptz[])
ON CONFLICT (identity_uuid, primitive) DO UPDATE SET
    value = excluded.value, state = excluded.state, confidence = excluded.confidence,
    observation_count = excluded.observation_count, changed_at = excluded.changed_at,
    observed_at = excluded.observed_at
"""
DROP_STATES = """
DELETE FROM states USING unnest($1::uuid[], $2::text[]) AS k (identity_uuid, primitive)
WHERE states.identity_uuid = k.identity_uuid AND states.primitive = k.primitive
"""
COUNT_REFUSALS = """
INSERT INTO refusals (reason, count) SELECT * FROM unnest($1::text[], $2::bigint[])
ON CONFLICT (reason) DO UPDATE SET count = refusals.count + excluded.count
"""
PARK = """
INSERT INTO parked (sequence, subject, body, attacker_uuid, published_at, attempts, retry_at)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::uuid[], $5::timestamptz[],
                     $6::int[], $7::timestamptz[])
ON CONFLICT (sequence) DO UPDATE SET attempts = excluded.attempts, retry_at = excluded.retry_at
"""
# The stream is told apart by when it was made: a new one of the same name counts from 1 again.
KEEP_PLACE = """
INSERT INTO place (stream_created_at, sequence) VALUES ($1, $2)
ON CONFLICT (one) DO UPDATE
SET stream_created_at = excluded.stream_created_at, sequence = excluded.sequence
WHERE place.stream_created_at <> excluded.stream_created_at OR place.sequence < excluded.sequence
"""
PLACE = "SELECT sequence FROM place WHERE stream_created_at = $1"
UNPARK = "DELETE FROM parked WHERE sequence = ANY($1::bigint[])"
