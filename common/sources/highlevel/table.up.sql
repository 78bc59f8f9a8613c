-- Opportunities and pipelines of HighLevel locations; `account` is the location's id.
-- Keys compare byte by byte, and what a look-up and a sweep read stands first: docs/performance.md says what both are worth.
create schema highlevel;

create table highlevel.opportunities (
  account           text        collate "C" not null,
  id                text        collate "C" not null,
  content_hash      bigint      not null,
  first_seen_at     timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  stale_at          timestamptz,
  name              text,
  value             numeric,
  status            text,     -- open | won | lost | abandoned
  pipeline_id       text,
  stage_id          text,
  assigned_to       text,
  source            text,
  lost_reason_id    text,
  contact_id        text,
  contact_name      text,
  contact_company   text,
  contact_email     text,
  contact_phone     text,
  contact_tags      jsonb,    -- array of texts
  custom_fields     jsonb,    -- array of {id, fieldValue}
  created_at        timestamptz,
  changed_at        timestamptz,  -- the upstream's updatedAt
  status_changed_at timestamptz,
  stage_changed_at  timestamptz,
  last_action_at    timestamptz,
  raw               jsonb       not null,
  primary key (account, id)
);

create table highlevel.pipelines (
  account           text        collate "C" not null,
  id                text        collate "C" not null,
  content_hash      bigint      not null,
  first_seen_at     timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  stale_at          timestamptz,
  name              text,
  stages            jsonb,    -- array, in order
  show_in_funnel    boolean,
  show_in_pie_chart boolean,
  color_render_mode text,
  raw               jsonb       not null,
  primary key (account, id)
);

-- What a look-up reads along, and a report by month too.
create index opportunities_by_time on highlevel.opportunities (account, created_at);
