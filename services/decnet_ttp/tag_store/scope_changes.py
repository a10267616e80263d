# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the roll-ups of identities and campaigns do not hold yet, as queries.

A member is an attacker, or an identity with the tags that name it alone. Triggers mark members in
`scope_changes` whenever their roll-ups or their membership change, in the transaction that does
it, so that writers share no row of an identity or campaign. `scope_counted` tells what was folded
in of a member, and `scope_members` for whom. The difference between that and what stands is what a
question adds, and what `scope_fold` folds in.
"""

from __future__ import annotations

#: Kinds of member.
ATTACKER_MEMBER, IDENTITY_MEMBER = 1, 2
#: Kinds of scope.
IDENTITY_SCOPE, CAMPAIGN_SCOPE = 1, 2
#: Part of an identity that counts for no campaign, and of every campaign.
NO_PART = "'00000000-0000-0000-0000-000000000000'::uuid"

#: Members of marks `c` and the days that may have changed of them.
MARKED = """
    SELECT c.kind, u.uuid, min(c.from_day) AS from_day, max(c.to_day) AS to_day
    FROM {marks} c CROSS JOIN LATERAL unnest(c.members) AS u (uuid)
    GROUP BY c.kind, u.uuid
"""

# S608 below: the statements are put together from constants of this module; values are bound.
#: For whom each of `{members}` counts, and for whom it was counted. A merged identity belongs to
#: the campaign of the one it was merged into, to its own if that one has none. Of whoever moved all
#: days are another's now, whatever was marked. LIMIT makes each a look into an index: members are
#: few, and the planner, that cannot know how many are marked, would read whole tables.
MEMBERSHIP = """
    SELECT w.kind, w.uuid, w.had_identity, w.had_campaign, w.identity, w.campaign,
        CASE WHEN w.moved THEN '-infinity' ELSE w.from_day END AS from_day,
        CASE WHEN w.moved THEN 'infinity' ELSE w.to_day END AS to_day
    FROM (
        SELECT d.kind, d.uuid, d.from_day, d.to_day,
            m.identity_uuid AS had_identity, m.campaign_uuid AS had_campaign,
            coalesce(i.root_uuid, i.uuid) AS identity,
            coalesce(r.campaign_uuid, i.campaign_uuid) AS campaign,
            (coalesce(i.root_uuid, i.uuid), coalesce(r.campaign_uuid, i.campaign_uuid))
                IS DISTINCT FROM (m.identity_uuid, m.campaign_uuid) AS moved
        FROM ({members}) d
        LEFT JOIN LATERAL (
            SELECT x.identity_uuid, x.campaign_uuid FROM scope_members x
            WHERE x.member_uuid = d.uuid AND x.kind = d.kind LIMIT 1
        ) m ON true
        LEFT JOIN LATERAL (
            SELECT x.identity_uuid FROM attackers x WHERE d.kind = 1 AND x.uuid = d.uuid LIMIT 1
        ) a ON true
        LEFT JOIN LATERAL (
            SELECT x.uuid, x.root_uuid, x.campaign_uuid FROM identities x
            WHERE x.uuid = CASE d.kind WHEN 1 THEN a.identity_uuid ELSE d.uuid END LIMIT 1
        ) i ON true
        LEFT JOIN LATERAL (
            SELECT x.campaign_uuid FROM identities x WHERE x.uuid = i.root_uuid LIMIT 1
        ) r ON true
    ) w
    WHERE w.identity IS NOT NULL OR w.had_identity IS NOT NULL
"""

#: Rows of the roll-ups of members `w` that stand otherwise than they were counted.
CHANGED = f"""
    SELECT w.*, x.day, x.cell_id, x.band, x.count, x.first_seen, x.last_seen, x.confidence_max,
        x.was, x.shrank
    FROM ({{membership}}) w CROSS JOIN LATERAL (
        SELECT day, cell_id, band, coalesce(r.count, 0) AS count, r.first_seen, r.last_seen,
            r.confidence_max, coalesce(f.count, 0) AS was,
            f.count IS NOT NULL AND (
                r.count IS NULL OR r.first_seen > f.first_seen OR r.last_seen < f.last_seen
                OR r.confidence_max < f.confidence_max
            ) AS shrank
        FROM (
            SELECT y.day, y.cell_id, y.band, y.count, y.first_seen, y.last_seen, y.confidence_max
            FROM rollup_attacker y
            WHERE w.kind = {ATTACKER_MEMBER} AND y.attacker_uuid = w.uuid AND y.count <> 0
                AND y.day BETWEEN w.from_day AND w.to_day
            UNION ALL
            SELECT y.day, y.cell_id, y.band, y.count, y.first_seen, y.last_seen, y.confidence_max
            FROM rollup_identity y
            WHERE w.kind = {IDENTITY_MEMBER} AND y.identity_uuid = w.uuid AND y.count <> 0
                AND y.day BETWEEN w.from_day AND w.to_day
        ) r
        FULL JOIN (
            SELECT y.day, y.cell_id, y.band, y.count, y.first_seen, y.last_seen, y.confidence_max
            FROM scope_counted y WHERE y.member_uuid = w.uuid AND y.kind = w.kind
                AND y.day BETWEEN w.from_day AND w.to_day
        ) f USING (day, cell_id, band)
        WHERE (w.identity, w.campaign) IS DISTINCT FROM (w.had_identity, w.had_campaign)
            OR (r.count, r.first_seen, r.last_seen, r.confidence_max)
                IS DISTINCT FROM (f.count, f.first_seen, f.last_seen, f.confidence_max)
    ) x
"""  # noqa: S608 - texts of ours; values are parameters

#: What changed rows `p` add to scopes and take from them; `who` is the identity behind a gain.
SHARES = f"""
    SELECT s.kind, s.scope_uuid, s.part_uuid, p.day, p.cell_id, p.band, s.count,
        CASE WHEN s.gains THEN p.first_seen END AS first_seen,
        CASE WHEN s.gains THEN p.last_seen END AS last_seen,
        CASE WHEN s.gains THEN p.confidence_max END AS confidence_max,
        s.shrank, CASE WHEN s.gains AND p.count > 0 THEN p.identity END AS who
    FROM ({{changed}}) p
    CROSS JOIN LATERAL (
        SELECT p.identity IS NOT DISTINCT FROM p.had_identity
                AND p.campaign IS NOT DISTINCT FROM p.had_campaign AS part,
            p.campaign IS NOT DISTINCT FROM p.had_campaign AS campaign
    ) same
    CROSS JOIN LATERAL (VALUES
        ({IDENTITY_SCOPE}, p.identity, coalesce(p.campaign, {NO_PART}),
            p.count - CASE WHEN same.part THEN p.was ELSE 0 END, true, same.part AND p.shrank),
        ({IDENTITY_SCOPE}, CASE WHEN NOT same.part THEN p.had_identity END,
            coalesce(p.had_campaign, {NO_PART}), -p.was, false, p.was <> 0),
        ({CAMPAIGN_SCOPE}, p.campaign, {NO_PART},
            p.count - CASE WHEN same.campaign THEN p.was ELSE 0 END, true,
            same.campaign AND p.shrank),
        ({CAMPAIGN_SCOPE}, CASE WHEN NOT same.campaign THEN p.had_campaign END, {NO_PART},
            -p.was, false, p.was <> 0)
    ) s (kind, scope_uuid, part_uuid, count, gains, shrank)
    WHERE s.scope_uuid IS NOT NULL
"""  # noqa: S608 - texts of ours; values are parameters


def pending(members: str | None = None) -> str:
    """Return the query for what marked members add to scopes.

    Args:
        members: Query for the members that matter, `kind` and `uuid`; all of them by default.
    """
    marked = MARKED.format(marks="scope_changes")
    if members:
        # Taken apart first: the planner would do so for each pair of a mark and a member.
        marked = f"SELECT * FROM ({marked} OFFSET 0) d WHERE (d.kind, d.uuid) IN ({members})"  # noqa: S608 - texts of ours; values are parameters
    return SHARES.format(changed=CHANGED.format(membership=MEMBERSHIP.format(members=marked)))
